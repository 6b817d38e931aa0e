// SPDX-License-Identifier: Apache-2.0

// Package clientip finds the address of the client of a request, behind proxies too.
//
// Start with [New]: its [Config] says where the address comes from and which proxies are yours. Then put
// [Resolver.Middleware] in front of everything that reads the address from the request's context with
// [portalsec.OriginFrom]. The request's RemoteAddr is never changed.
//
// # Rules
//
// The peer is who opened the connection. A peer outside [Config.Trusted] is the client, whatever headers it
// sends, and nothing is trusted unless it is named. A trusted peer's header is read from the right: each
// proxy appends the address that it saw, so entries are true as far as the proxies that wrote them are yours.
// The first entry that is no trusted proxy is the client, and nothing to the left of it, where the client may
// have written what it liked, is read. An entry that cannot be read where it must be refuses the request;
// there is no fall back to another address, because one that an attacker can provoke is one that he can use.
//
// Addresses are read strictly: no host names, leading zeros, hexadecimal or short forms. An IPv4-mapped IPv6
// address is the IPv4 address, and a zone is dropped. IPv4-compatible, NAT64 and 6to4 addresses stay what
// they are.
//
// # What it does not protect against
//
// A trusted proxy that passes on a header it should have overwritten makes the client's word the answer:
// with [SingleHeader] the proxy must set the header itself on every request. A range that also holds
// machines of strangers, such as a whole cloud, must not be trusted. All depends on nobody reaching the
// portal past the proxies from a trusted address.
package clientip
