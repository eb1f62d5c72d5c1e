package config

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/voussoir-id/voussoir/protocol"
)

// Listing is how a provider stands on the choice page.
type Listing struct {
	Keywords []string
	Beta     bool
	Notice   protocol.Text
	Logo     *Logo // nil: none
	Disabled bool  // not in service at all
}

// Logo is a picture that the broker serves itself.
type Logo struct {
	MediaType string
	Body      []byte
}

// maxLogo is the largest logo, in bytes: a page of the choice may show fifty.
const maxLogo = 32 << 10

const (
	maxKeywords = 50
	maxKeyword  = 60 // letters
)

// listing checks what only the choice page uses.
func (c *checker) listing(p *Provider, path string) {
	if at := path + ".keywords"; len(p.Keywords) > maxKeywords {
		c.add(at, fmt.Sprintf("there are more than %d keywords", maxKeywords), "the towns and words that people search for")
	}
	for i, k := range p.Keywords {
		if at := index(path+".keywords", i); c.ok(at) && (strings.TrimSpace(k) == "" || len([]rune(k)) > maxKeyword) {
			c.add(at, fmt.Sprintf("a keyword has 1 to %d letters", maxKeyword), "a town or a word, such as Lyon")
		}
	}
	c.text(path+".notice", p.Notice, 500)
	if at := path + ".logo_file"; c.has(at) && c.ok(at) {
		_, problem := c.readLogo(p.LogoFile)
		if problem != "" {
			c.add(at, problem, "a PNG or WebP file of at most 32 KiB, relative to this file")
		}
	}
	if p.Disabled && !slices.ContainsFunc(c.f.Providers, func(o Provider) bool { return !o.Disabled }) && c.ok(path+".disabled") {
		c.add(path+".disabled", "every provider is disabled, so nobody can sign in", "disabled: false for one of them")
	}
}

// readLogo goes by what the file holds, not by its name. SVG is refused: it is a
// document that may hold scripts and links, and no picture is worth a parser for that.
func (c *checker) readLogo(name string) (*Logo, string) {
	if name == "" {
		return nil, "the file has no name"
	}
	b, err := read(c.resolve(name), maxLogo+1)
	switch {
	case err != nil:
		return nil, "the file " + quote(name) + " cannot be read"
	case len(b) > maxLogo:
		return nil, quote(name) + " is larger than 32 KiB"
	case bytes.HasPrefix(b, []byte("\x89PNG\r\n\x1a\n")):
		return &Logo{"image/png", b}, ""
	case len(b) >= 12 && string(b[:4]) == "RIFF" && string(b[8:12]) == "WEBP":
		return &Logo{"image/webp", b}, ""
	}
	return nil, quote(name) + " is neither PNG nor WebP"
}

// loadListings is of no use when there are mistakes.
func (c *checker) loadListings() map[protocol.ProviderID]Listing {
	out := make(map[protocol.ProviderID]Listing, len(c.f.Providers))
	for _, p := range c.f.Providers {
		l := Listing{Keywords: p.Keywords, Beta: p.Beta, Disabled: p.Disabled}
		if len(p.Notice) > 0 {
			l.Notice = p.Notice.text()
		}
		if p.LogoFile != "" {
			l.Logo, _ = c.readLogo(p.LogoFile) // a mistake is reported by the check
		}
		out[protocol.ProviderID(p.ID)] = l
	}
	return out
}

// denied checks the providers that a policy forbids.
func (c *checker) denied(p *Policy, path string) {
	path += ".providers.deny"
	c.known(path, p.Providers.Deny, c.providerIDs(), "provider")
	for i, id := range p.Providers.Deny {
		if at := index(path, i); c.ok(at) && slices.Contains(p.Providers.Allow, id) {
			c.add(at, quote(id)+" is allowed too", "it in one of the two lists")
		}
	}
}

// usable reports whether visitors of a policy's services may use a provider.
func (p *Policy) usable(idp *Provider) bool {
	return (len(p.Providers.Allow) == 0 || slices.Contains(p.Providers.Allow, idp.ID)) && !slices.Contains(p.Providers.Deny, idp.ID)
}
