// Package outbound makes the HTTP clients for every call that Voussoir makes to
// others: 2 s to connect, 5 s in all, 1 MiB of body, no redirects, no proxy from
// the environment, and no loopback, link-local or private address unless the
// configuration allows it (checked on the resolved address, at dial time). It
// knows nothing of what is sent or read.
package outbound
