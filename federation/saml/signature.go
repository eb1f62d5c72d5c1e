package saml

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	_ "crypto/sha256" // the hashes below
	_ "crypto/sha512"
	"errors"
	"math/big"

	"github.com/beevik/etree"
	dsig "github.com/russellhaering/goxmldsig"
	"github.com/russellhaering/goxmldsig/etreeutils"
)

// Algorithms: SHA-1, HMAC, DSA and whatever else XML Signature knows are not here.
const (
	excC14N   = nsExcC14N
	enveloped = nsSignature + "enveloped-signature"
)

func digests() map[string]crypto.Hash {
	return map[string]crypto.Hash{
		nsEncrypt + "sha256":                            crypto.SHA256,
		"http://www.w3.org/2001/04/xmldsig-more#sha384": crypto.SHA384,
		nsEncrypt + "sha512":                            crypto.SHA512,
	}
}

// method is a signature algorithm.
type method struct {
	hash crypto.Hash
	rsa  bool
}

func methods() map[string]method {
	const more = "http://www.w3.org/2001/04/xmldsig-more#"
	return map[string]method{
		more + "rsa-sha256": {crypto.SHA256, true}, more + "rsa-sha384": {crypto.SHA384, true}, more + "rsa-sha512": {crypto.SHA512, true},
		more + "ecdsa-sha256": {crypto.SHA256, false}, more + "ecdsa-sha384": {crypto.SHA384, false}, more + "ecdsa-sha512": {crypto.SHA512, false},
	}
}

// strong reports whether a key may vouch for anything: RSA of 2048 bits, or a NIST
// curve of 256.
func strong(key crypto.PublicKey) bool {
	switch k := key.(type) {
	case *rsa.PublicKey:
		return k.N.BitLen() >= 2048 && k.N.BitLen() <= 8192 && k.E >= 3
	case *ecdsa.PublicKey:
		return k.Curve == elliptic.P256() || k.Curve == elliptic.P384() || k.Curve == elliptic.P521()
	}
	return false
}

// signed is an element that a pinned key has vouched for, whole: it is the element
// of the tree that was verified and not a copy. Only verify and within make one,
// and readers take nothing else, so that nothing unverified can be read.
type signed struct{ el *etree.Element }

// within is a part of what was verified.
func (s signed) within(child *etree.Element) (signed, error) {
	for p := child; p != nil; p = p.Parent() {
		if p == s.el {
			return signed{child}, nil
		}
	}
	return signed{}, errors.New("element is not within what is signed")
}

// verify checks the one signature that el carries as a child of its own, over el
// itself and the whole of it, by one of the pinned keys. What the signature says
// of keys (KeyInfo) is not looked at. The shape is checked first, so strictly that
// there is nothing to search for: one reference, to el's ID; the two transforms in
// their order; nothing beside them (CVE-2026-33487, wrapping attacks).
func verify(el *etree.Element, pinned []crypto.PublicKey) (signed, error) {
	sig, err := one(el, nsSignature, "Signature")
	if err != nil {
		return signed{}, err
	}
	info, value, err := parts(sig)
	if err != nil {
		return signed{}, err
	}
	if err := covers(el, sig, info.reference, info.prefixes); err != nil {
		return signed{}, err
	}
	canonical, err := canonicalise(info.el, -1, info.ownPrefixes)
	if err != nil {
		return signed{}, err
	}
	for _, key := range pinned {
		if strong(key) && info.method.check(key, canonical, value) {
			return signed{el}, nil
		}
	}
	return signed{}, errors.New("signature is not by a pinned key")
}

// signedInfo is what a signature is made over.
type signedInfo struct {
	el          *etree.Element
	ownPrefixes string
	method      method
	reference   *etree.Element
	prefixes    string // of the reference's canonical form
}

// parts takes a Signature apart.
func parts(sig *etree.Element) (signedInfo, []byte, error) {
	fail := func(err error) (signedInfo, []byte, error) { return signedInfo{}, nil, err }
	for i, c := range sig.ChildElements() {
		if i > 2 || !is(c, nsSignature, []string{"SignedInfo", "SignatureValue", "KeyInfo"}[i]) {
			return fail(errors.New("signature is not info, value and perhaps a key, in this order"))
		}
	}
	value, err := one(sig, nsSignature, "SignatureValue")
	if err != nil {
		return fail(err)
	}
	b, err := decoded(value)
	if err != nil {
		return fail(err)
	}
	info := signedInfo{}
	if info.el, err = one(sig, nsSignature, "SignedInfo"); err != nil {
		return fail(err)
	}
	if err := only(info.el, nsSignature+" CanonicalizationMethod", nsSignature+" SignatureMethod", nsSignature+" Reference"); err != nil {
		return fail(err)
	}
	c14n, err := one(info.el, nsSignature, "CanonicalizationMethod")
	if err != nil {
		return fail(err)
	}
	if info.ownPrefixes, err = exclusive(c14n); err != nil {
		return fail(err)
	}
	if info.reference, err = one(info.el, nsSignature, "Reference"); err != nil {
		return fail(err)
	}
	algorithm, err := one(info.el, nsSignature, "SignatureMethod")
	if err != nil {
		return fail(err)
	}
	name, _ := attr(algorithm, "Algorithm")
	known := false
	if info.method, known = methods()[name]; !known || len(algorithm.ChildElements()) > 0 {
		return fail(errors.New("signature algorithm is not one that we accept"))
	}
	info.prefixes, err = transforms(info.reference)
	return info, b, err
}

// transforms allows the two that SAML core section 5.4.4 knows, and returns the
// prefix list of the second.
func transforms(reference *etree.Element) (string, error) {
	if err := only(reference, nsSignature+" Transforms", nsSignature+" DigestMethod", nsSignature+" DigestValue"); err != nil {
		return "", err
	}
	list, err := one(reference, nsSignature, "Transforms")
	if err != nil {
		return "", err
	}
	all := list.ChildElements()
	if len(all) != 2 || !is(all[0], nsSignature, "Transform") || !is(all[1], nsSignature, "Transform") || len(all[0].ChildElements()) != 0 {
		return "", errors.New("transforms are not enveloped signature and exclusive canonicalisation")
	}
	if first, _ := attr(all[0], "Algorithm"); first != enveloped {
		return "", errors.New("first transform is not the enveloped signature")
	}
	return exclusive(all[1])
}

// exclusive checks that el names exclusive canonicalisation without comments, and
// returns its prefix list.
func exclusive(el *etree.Element) (string, error) {
	if name, _ := attr(el, "Algorithm"); name != excC14N {
		return "", errors.New("canonicalisation is not the exclusive one")
	}
	list := el.ChildElements()
	switch {
	case len(list) == 0:
		return "", nil
	case len(list) > 1 || !is(list[0], nsExcC14N, "InclusiveNamespaces") || len(list[0].ChildElements()) > 0:
		return "", errors.New("canonicalisation has strange parameters")
	}
	prefixes, _ := attr(list[0], "PrefixList")
	return prefixes, nil
}

// covers checks that the reference is to el, and its digest that of el.
func covers(el, sig, reference *etree.Element, prefixes string) error {
	id, ok := attr(el, "ID")
	if uri, _ := attr(reference, "URI"); !ok || !ncName.MatchString(id) || uri != "#"+id {
		return errors.New("signature is not about the element that carries it")
	}
	algorithm, err := one(reference, nsSignature, "DigestMethod")
	if err != nil {
		return err
	}
	name, _ := attr(algorithm, "Algorithm")
	hash, known := digests()[name]
	if !known {
		return errors.New("digest algorithm is not one that we accept")
	}
	value, err := one(reference, nsSignature, "DigestValue")
	if err != nil {
		return err
	}
	want, err := decoded(value)
	if err != nil {
		return err
	}
	canonical, err := canonicalise(el, sig.Index(), prefixes)
	if err != nil {
		return err
	}
	h := hash.New()
	h.Write(canonical)
	if !bytes.Equal(h.Sum(nil), want) {
		return errors.New("digest differs: what was signed has been altered")
	}
	return nil
}

// canonicalise returns el in exclusive canonical form, without its child at index
// without (-1: with all). It works on a copy: the canonicaliser changes what it is
// given.
func canonicalise(el *etree.Element, without int, prefixes string) ([]byte, error) {
	ctx, err := etreeutils.NSBuildParentContext(el)
	if err != nil {
		return nil, errors.New("namespaces cannot be resolved")
	}
	detached, err := etreeutils.NSDetatch(ctx, el)
	if err != nil {
		return nil, errors.New("namespaces cannot be resolved")
	}
	if without >= 0 {
		detached.RemoveChildAt(without)
	}
	out, err := dsig.MakeC14N10ExclusiveCanonicalizerWithPrefixList(prefixes).Canonicalize(detached)
	if err != nil {
		return nil, errors.New("no canonical form")
	}
	return out, nil
}

// check verifies a signature value. That of ECDSA is r and s side by side (XML
// Signature section 6.4.3), not ASN.1.
func (m method) check(key crypto.PublicKey, message, value []byte) bool {
	h := m.hash.New()
	h.Write(message)
	digest := h.Sum(nil)
	switch k := key.(type) {
	case *rsa.PublicKey:
		return m.rsa && rsa.VerifyPKCS1v15(k, m.hash, digest, value) == nil
	case *ecdsa.PublicKey:
		size := (k.Curve.Params().BitSize + 7) / 8
		if m.rsa || len(value) != 2*size {
			return false
		}
		return ecdsa.Verify(k, digest, new(big.Int).SetBytes(value[:size]), new(big.Int).SetBytes(value[size:]))
	}
	return false
}

func decoded(el *etree.Element) ([]byte, error) {
	s, err := text(el)
	if err != nil {
		return nil, err
	}
	return unbase64(s)
}
