package config

import "github.com/voussoir-id/voussoir/clients"

// securityEvents: where a service is pushed security event tokens.
func (c *checker) securityEvents(k *Client, path string) {
	at := path + ".security_events_uri"
	if !c.has(at) || !c.ok(at) || k.SecurityEventsURI == "" {
		return
	}
	if f := clients.CheckURL(k.SecurityEventsURI, c.f.Development); f != nil {
		c.add(at, "this address for security events will not do: "+f.What, f.Instead)
	}
}
