// SPDX-License-Identifier: Apache-2.0

// Package ipfilter decides by the client's address who may reach a portal.
//
// Start with [New]: its [Config] takes the [Rules] and, for country rules, a [CountryDB] made by [OpenCountryDB].
// Put [Filter.Middleware] inside the middleware of package clientip, which finds the address. [Filter.SetRules]
// replaces the rules while the portal runs, [Filter.Explain] tells why an address is let in or not.
//
// # How it decides
//
// Each of three questions must be answered well:
//
//  1. Is the client known? A request without an origin in its context is refused.
//  2. The prefix rules: of all that hold the address the longest decides, and at equal length Deny beats Allow.
//     Where there is any Allow rule, an address that no rule holds is refused. Expired rules decide nothing, but
//     an Allow list whose rules have all expired lets nobody in.
//  3. The country rules: the country must be in AllowCountries, if there are any, and not in DenyCountries. An
//     Allow rule for a prefix is no exception to them.
//
// Special addresses are told apart before the country file is asked, because such files are wrong about them:
//
//   - Loopback addresses pass the country rules.
//   - Private ones (RFC 1918, RFC 4193, link-local) are of unknown country, unless Rules.PrivateIsLocal says that
//     they pass like loopback. It is off at first: behind a proxy that package clientip was not told of, every
//     visitor of the world has the proxy's private address.
//   - Addresses that carry an IPv4 address (6to4, Teredo, NAT64) are of unknown country: who makes one chooses the
//     IPv4 address. So are those that no visitor can have, such as multicast, and carrier-grade NAT (RFC 6598).
//
// An unknown country is refused where there are country rules, unless Rules.UnknownCountry is [Pass].
//
// # What it does not protect against
//
// A country is a guess of the file's maker, and anyone can rent an address in an allowed one. An address
// is not a person: these rules keep noise and the merely curious out, and stand before signing in, never in
// its place. A proxy on the same machine that package clientip was not told of makes every visitor loopback.
//
// # Data
//
// The package ships no country data. A file is read whole into memory and closed, so that writing over it
// later changes nothing until it is opened again. [Rules] are stored as JSON; the names of its members stay.
package ipfilter
