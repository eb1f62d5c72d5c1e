package config

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/voussoir-id/voussoir/clients"
	"github.com/voussoir-id/voussoir/policies"
	"github.com/voussoir-id/voussoir/protocol"
)

// checker looks for mistakes that the types cannot show.
type checker struct {
	*decoder
	f      *File
	dir    string // of the configuration file
	getenv func(string) string

	compiler *policies.Compiler            // nil until the first condition
	compiled map[string]policies.Condition // by path; without those that have a mistake
}

var (
	clientID   = regexp.MustCompile(`^[A-Za-z0-9._~-]{1,64}$`)
	providerID = regexp.MustCompile(`^[a-z0-9-]{1,32}$`)
	language   = regexp.MustCompile(`^[a-z]{2}$`)
	envName    = regexp.MustCompile(`^[A-Z][A-Z0-9_]{0,127}$`)
	hostLike   = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$`)
)

func (c *checker) all() {
	c.top()
	c.tls()
	c.clientCertificates()
	c.suspicious()
	c.later()
	c.registry()
	c.audit()
	c.statistics()
	c.witnesses()
	for i := range c.f.Providers {
		c.provider(i)
	}
	for i := range c.f.Policies {
		c.policy(i)
	}
	for i := range c.f.Clients {
		c.client(i)
	}
	for i := range c.f.DataProviders {
		c.dataProvider(i)
	}
	c.registration()
	doubles(c, "data_providers", c.f.DataProviders, func(d DataProvider) string { return d.ID })
	doubles(c, "providers", c.f.Providers, func(p Provider) string { return p.ID })
	doubles(c, "policies", c.f.Policies, func(p Policy) string { return p.ID })
	doubles(c, "clients", c.f.Clients, func(k Client) string { return k.ID })
	for i, p := range c.f.Policies {
		if p.ID != "" && !slices.ContainsFunc(c.f.Clients, func(k Client) bool { return k.Policy == p.ID }) &&
			!slices.ContainsFunc(c.f.Registration.Tokens, func(t InitialToken) bool { return t.Policy == p.ID }) {
			c.warn(index("policies", i)+".id", "no client uses this policy", "policy: "+p.ID+" in a client, or remove it")
		}
	}
}

func (c *checker) top() {
	c.uri("issuer", c.f.Issuer)
	if u, err := url.Parse(c.f.Issuer); err == nil && c.sound("issuer", c.f.Issuer) && (u.Path != "" || u.RawQuery != "" || strings.Contains(c.f.Issuer, "?")) {
		c.add("issuer", "the issuer has a path, a trailing slash or a query", "issuer: "+u.Scheme+"://"+u.Host)
	}
	c.listener("listen", c.f.Listen)
	c.metrics()
	if c.has("data") && strings.TrimSpace(c.f.Data) == "" {
		c.add("data", "the folder has no name", "data: ./data")
	}
	if c.f.Keys.SecretFile != "" && c.f.Keys.SecretEnv != "" {
		c.add("keys.secret_env", "the secret has two places", "secret_file or secret_env, one of them")
	}
	c.environment("keys.secret_env", c.f.Keys.SecretEnv)
	c.secretFile("keys.secret_file", c.f.Keys.SecretFile)
	c.signer()
	if len(c.f.Providers) == 0 && c.ok("providers") {
		c.add("providers", "nobody can sign in without an identity provider", "providers: [{ id: tax, … }]")
	}
}

// listener checks a listening address. In development it may be loopback only:
// http, test secrets and private addresses must not be reachable from outside.
func (c *checker) listener(path, address string) {
	if !c.has(path) || !c.ok(path) {
		return
	}
	host, port, err := net.SplitHostPort(address)
	if n, perr := strconv.Atoi(port); err != nil || perr != nil || n < 1 || n > 65535 {
		c.add(path, quote(address)+" is not an address and a port", path+": 127.0.0.1:8080")
		return
	}
	if host != "" && net.ParseIP(host) == nil && host != "localhost" {
		c.add(path, "the host of a listening address is an IP address", path+": 127.0.0.1:"+port)
		return
	}
	if c.f.Development && (host == "" || !clients.Loopback(host)) {
		c.add(path, "with development: true the broker listens on a loopback address only", path+": 127.0.0.1:"+port+", or development: false")
	}
}

// later refuses settings that are part of the format but of no effect yet: a
// setting that is silently ignored would be believed.
func (c *checker) later() {
	for _, s := range []struct{ path, value, what, instead string }{
		{"redis.url", c.f.Redis.URL, "Redis is not available in this version: short-lived state is kept in the data folder", "url: \"\""},
		{"postgres.url", c.f.Postgres.URL, "PostgreSQL is not available in this version: records are kept in the data folder", "url: \"\""},
		{"admin.issuer", c.f.Admin.Issuer, "the console is not available in this version", "issuer: \"\""},
		{"admin.client_id", c.f.Admin.ClientID, "the console is not available in this version", "client_id: \"\""},
		{"admin.roles.auditor", strings.Join(c.f.Admin.Roles.Auditor, " "), "the console is not available in this version", "auditor: []"},
		{"admin.roles.operator", strings.Join(c.f.Admin.Roles.Operator, " "), "the console is not available in this version", "operator: []"},
		{"admin.roles.support", strings.Join(c.f.Admin.Roles.Support, " "), "the console is not available in this version", "support: []"},
	} {
		if s.value != "" {
			c.add(s.path, s.what, s.instead)
		}
	}
	if n := len(c.f.Consultations); n > 0 {
		c.problems = slices.DeleteFunc(c.problems, func(p Problem) bool { return strings.HasPrefix(p.Path, "consultations") })
		c.add("consultations", "consultations are not available in this version", "consultations: []")
	}
}

// text checks what people read: present in French or English, and not too long.
func (c *checker) text(path string, t Text, limit int) {
	if !c.has(path) || !c.ok(path) {
		return
	}
	for lang, words := range t {
		at := join(path, lang)
		switch {
		case !c.ok(at):
		case !language.MatchString(lang):
			c.add(at, quote(lang)+" is not a two-letter language code", "fr: …, en: …")
		case strings.TrimSpace(words) == "":
			c.add(at, "the text is empty", lang+": …, or leave this language out")
		case len([]rune(words)) > limit:
			c.add(at, fmt.Sprintf("the text is longer than %d letters", limit), "a shorter one")
		}
	}
	if t["fr"] == "" && t["en"] == "" && !c.has(join(path, "fr")) && !c.has(join(path, "en")) {
		c.add(path, "there is no French and no English text", "{ fr: …, en: … }, or one of them")
	}
}

// uri checks an address if it is there.
func (c *checker) uri(path, value string) {
	if !c.has(path) || !c.ok(path) {
		return
	}
	if f := clients.CheckURL(value, c.f.Development); f != nil {
		c.add(path, "this address will not do: "+f.What, f.Instead)
	}
}

// sound reports whether path holds a value in which no mistake was found yet.
func (c *checker) sound(path, value string) bool { return value != "" && c.ok(path) }

func (c *checker) environment(path, name string) {
	if !c.has(path) || !c.ok(path) {
		return
	}
	if !envName.MatchString(name) {
		// Not shown: people write the secret itself here.
		c.add(path, "this is not the name of an environment variable", "capital letters, digits and _, such as VOUSSOIR_SECRET")
		return
	}
	if c.getenv(name) == "" {
		c.add(path, "the environment variable "+name+" is not set", name+"=… in the environment of the broker")
	}
}

// secretFile checks that a secret's file is there and nobody else can read it.
func (c *checker) secretFile(path, name string) {
	if !c.has(path) || !c.ok(path) {
		return
	}
	if name == "" {
		c.add(path, "the file has no name", "a path relative to this file, or remove the line")
		return
	}
	info, err := os.Stat(c.resolve(name))
	switch {
	case os.IsNotExist(err):
		c.add(path, "there is no such file: "+quote(name)+" (relative to the configuration file)", "the path of the file with the secret, or create it with mode 0600")
	case err != nil:
		c.add(path, "the file "+quote(name)+" cannot be looked at", "a file that the broker may read")
	case !info.Mode().IsRegular():
		c.add(path, quote(name)+" is not a file", "the path of a file")
	case info.Mode().Perm()&0o077 != 0:
		c.add(path, fmt.Sprintf("others than its owner may read or change %s (mode %04o)", quote(name), info.Mode().Perm()), "chmod 0600 "+name)
	case info.Size() == 0 || info.Size() > maxSecret:
		c.add(path, quote(name)+" is empty or far too large for a secret", "a file that holds the secret and nothing else")
	}
}

// resolve makes a path of the file absolute: it is relative to the file itself.
func (c *checker) resolve(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(c.dir, name)
}

// known checks that a list names existing things, each once.
func (c *checker) known(path string, words, all []string, thing string) {
	if slices.Contains(all, "") {
		return // an id is missing or misspelt: reported there, and perhaps the one that is meant
	}
	for i, w := range words {
		at := index(path, i)
		switch {
		case !c.ok(at):
		case !slices.Contains(all, w):
			what, instead := unknownName(thing, w, all)
			c.add(at, what, instead)
		case slices.Index(words, w) < i:
			c.add(at, quote(w)+" is in the list twice", "it once")
		}
	}
}

func (c *checker) providerIDs() []string {
	ids := make([]string, 0, len(c.f.Providers))
	for _, p := range c.f.Providers {
		ids = append(ids, p.ID)
	}
	return ids
}

func claimNames() []string {
	var out []string
	for _, k := range protocol.Claims() {
		out = append(out, string(k))
	}
	return out
}

func doubles[T any](c *checker, path string, all []T, id func(T) string) {
	first := map[string]int{}
	for i, t := range all {
		at := index(path, i) + ".id"
		if j, twice := first[id(t)]; twice && c.sound(at, id(t)) {
			c.add(at, fmt.Sprintf("the id %s is taken; it first stands on line %d", quote(id(t)), c.place(index(path, j)+".id").line), "another id")
			continue
		}
		first[id(t)] = i
	}
}

func index(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }

// oneOf lists what exists, shortened.
func oneOf(all []string) string {
	if len(all) == 0 {
		return "nothing: there are none"
	}
	if len(all) > 20 {
		all = append(slices.Clone(all[:20]), "…")
	}
	return list(all)
}
