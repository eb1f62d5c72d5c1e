package config

import (
	"net"

	"github.com/voussoir-id/voussoir/clients"
)

// metrics checks where the figures are shown: never at the public address, and at one
// of this machine unless the operator says otherwise.
func (c *checker) metrics() {
	const path = "metrics_listen"
	if c.f.MetricsListen == "" {
		return
	}
	address := loopbackPort(c.f.MetricsListen)
	c.listener(path, address)
	if !c.ok(path) {
		return
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return // the listener's mistake
	}
	if _, public, err := net.SplitHostPort(c.f.Listen); err == nil && public == port {
		c.add(path, "the broker listens on this port already, and metrics are not for everyone", path+": 127.0.0.1:9090")
		return
	}
	if !clients.Loopback(host) {
		c.warn(path, "whoever reaches "+quote(address)+" can read the figures: there is no password", path+": 127.0.0.1:"+port+", or a firewall")
	}
}

// loopbackPort gives a port alone the host of this machine, where Go would take every
// one.
func loopbackPort(address string) string {
	if len(address) > 1 && address[0] == ':' {
		return "127.0.0.1" + address
	}
	return address
}
