// Package conformance asks the broker what the OpenID Foundation's conformance
// suite asks an OpenID provider: one test for each module of its plans, under the
// module's own name, written from the specifications. It has tests only, over the
// real binary. It is not that suite and gives no certificate; how to run the real
// one is in docs/certification.md.
//
// Read plans_test.go first: which modules there are, and what each is about. Then
// world_test.go (a broker whose clock can be turned), browser_test.go (a browser
// without JavaScript), client_test.go (a relying party that can do wrong), and
// the modules themselves, oidcc_test.go, dynamic_test.go, refresh_test.go,
// logout_test.go, fapi2_test.go, dpop_test.go and mtls_test.go. plain_test.go looks at
// every answer and every page as the suite does, whatever the module.
//
//	go test ./conformance -run 'TestOidccBasic/oidcc-codereuse$'
package conformance
