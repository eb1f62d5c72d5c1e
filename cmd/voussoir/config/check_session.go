package config

// singleSignOn: a service whose sign-ins begin no session hears of the end of none.
func (c *checker) singleSignOn(k *Client, path string) {
	at := path + ".single_sign_on"
	if on(k.SingleSignOn) || !c.ok(at) {
		return
	}
	for _, told := range []struct{ key, uri string }{
		{".backchannel_logout_uri", k.BackChannelLogoutURI}, {".frontchannel_logout_uri", k.FrontChannelLogoutURI},
	} {
		if told.uri != "" && c.ok(path+told.key) {
			c.add(path+told.key, "with single_sign_on: false no sign-in of this service begins a session, so it is never told of the end of one", "single_sign_on: true, or remove this line")
		}
	}
}
