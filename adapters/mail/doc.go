// SPDX-License-Identifier: Apache-2.0

// Package mail sends mails through an SMTP server (RFC 5321), with wneessen/go-mail. [New] gives a
// [portalsec.Sender]; package outbox calls it and tries again what could not be sent.
//
// Each mail has one recipient, a text and an HTML form of it, and says that no person has written it (RFC 3834), so that
// no absence notice answers. Connections are encrypted and the server's certificate is checked (RFC 3207, RFC 8314) unless
// [InsecurePlain] says otherwise.
//
// It does not sign mails (DKIM): let the server do that. It cannot tell whether a mail reaches its reader.
package mail
