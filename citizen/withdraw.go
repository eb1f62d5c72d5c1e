package citizen

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/voussoir-id/voussoir/consent"
	"github.com/voussoir-id/voussoir/protocol"
	"github.com/voussoir-id/voussoir/web"
)

// answers are those that she can take back.
func (s *Space) answers(r *http.Request, v *visitor) ([]web.MeAnswer, error) {
	all, err := s.Consent.Withdrawable(r.Context(), v.Person.ID)
	if err != nil {
		return nil, err
	}
	var out []web.MeAnswer
	for _, x := range all {
		if x.Client == Client {
			continue
		}
		out = append(out, web.MeAnswer{
			ID: x.Client, Policy: x.PolicyID, Client: s.service(x.Client), Basis: x.Basis, Claims: x.Released, Until: x.Until, Given: x.Time,
		})
	}
	return out, nil
}

// asked are the answers that a request is about: one, all to a service, or all.
func (s *Space) asked(r *http.Request, v *visitor) ([]web.MeAnswer, consent.Withdrawal, error) {
	w := consent.Withdrawal{Person: v.Person, Client: protocol.ClientID(r.FormValue("service")), PolicyID: r.FormValue("policy"), Language: s.Site.Lang(r, nil)}
	all, err := s.answers(r, v)
	if err != nil {
		return nil, w, err
	}
	var out []web.MeAnswer
	for _, x := range all {
		if (w.Client == "" || w.Client == x.ID) && (w.PolicyID == "" || w.PolicyID == x.Policy) {
			out = append(out, x)
		}
	}
	return out, w, nil
}

// askWithdraw says what taking back means, before she does.
func (s *Space) askWithdraw(w http.ResponseWriter, r *http.Request) error {
	v, err := s.visitor(r)
	if err != nil {
		return err
	}
	if v == nil {
		return again(w)
	}
	answers, what, err := s.asked(r, v)
	if err != nil {
		return err
	}
	if len(answers) == 0 { // she has taken it back already
		seeOther(w, PathMe)
		return nil
	}
	if what.Client == "" && !s.recently(v) {
		return again(w)
	}
	return s.Site.MeWithdraw(w, r, web.MeWithdrawPage{Answers: answers, Service: what.Client, Policy: what.PolicyID})
}

// withdraw takes answers back. Of all services at once only after a sign-in of now.
func (s *Space) withdraw(w http.ResponseWriter, r *http.Request) error {
	v, err := s.visitor(r)
	if err != nil {
		return err
	}
	if v == nil || r.PostFormValue("answer") != "withdraw" {
		return again(w)
	}
	answers, what, err := s.asked(r, v)
	if err != nil {
		return err
	}
	if what.Client == "" && !s.recently(v) {
		return again(w)
	}
	if len(answers) > 0 {
		_, err = s.Consent.Withdraw(r.Context(), what)
	}
	if errors.Is(err, consent.ErrUnfinished) { // on record: it is carried out as soon as the stores let it
		return said(w, nil, "withdrawing")
	}
	return said(w, err, "withdrawn")
}

// receipts are the ids of her receipts by their entries.
func (s *Space) receipts(r *http.Request, v *visitor) (map[[16]byte]string, error) {
	all, err := s.Consent.List(r.Context(), v.Person.ID)
	if err != nil {
		return nil, err
	}
	out := make(map[[16]byte]string, len(all))
	for _, x := range all {
		if x.Client != Client {
			out[x.Audit] = hex.EncodeToString(x.ID[:])
		}
	}
	return out, nil
}

// receipt answers with one of her receipts: as a page, as JSON or as a JWT. Whoever
// else has one of this id, she has none.
func (s *Space) receipt(w http.ResponseWriter, r *http.Request) error {
	v, err := s.visitor(r)
	if err != nil {
		return err
	}
	if v == nil {
		return again(w)
	}
	name, form, _ := strings.Cut(r.PathValue("receipt"), ".")
	var id [16]byte
	if n, err := hex.Decode(id[:], []byte(name)); err != nil || n != len(id) || len(name) != 2*len(id) {
		return web.Fail(web.NotFound, nil)
	}
	found, err := s.Consent.Get(r.Context(), v.Person.ID, id)
	if errors.Is(err, consent.ErrNoReceipt) {
		return web.Fail(web.NotFound, err)
	}
	if err != nil {
		return err
	}
	doc, err := s.Receipts.Document(r.Context(), found)
	if err != nil {
		return err
	}
	switch form {
	case "":
		return s.Site.MeReceipt(w, r, receiptPage(doc, found, s.service(found.Client), s.provider(found.Provider)))
	case "json":
		b, err := json.MarshalIndent(doc, "", "  ")
		if err != nil {
			return errors.New("encode a receipt")
		}
		return download(w, "application/json", name+".json", b)
	case "jwt":
		compact, err := s.Receipts.Signed(r.Context(), doc)
		if err != nil {
			return err
		}
		return download(w, "application/jwt", name+".jwt", []byte(compact))
	}
	return web.Fail(web.NotFound, nil)
}

func receiptPage(doc consent.Document, r consent.Receipt, service, provider protocol.Text) web.MeReceiptPage {
	p := web.MeReceiptPage{
		ID: doc.RecordID, Act: string(r.Act), Time: r.Time, Client: service, Purpose: doc.Purpose.Text, Basis: r.Basis, Shown: r.Shown, Claims: r.Released,
		Retention: doc.Purpose.Retention, Until: r.Until, OfflineUntil: r.OfflineUntil, ACR: r.ACR, Policy: fmt.Sprintf("%s, %d", r.PolicyID, r.PolicyVersion),
		Entry: doc.Audit.Entry, Proof: doc.Audit.Proof,
	}
	if r.Provider != "" {
		p.Provider = provider
	}
	if doc.Audit.Index != nil {
		p.Index = *doc.Audit.Index
	}
	return p
}

// download answers with a file that is for her alone.
func download(w http.ResponseWriter, mediaType, name string, b []byte) error {
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("Content-Disposition", `attachment; filename="receipt-`+name+`"`)
	_, err := w.Write(b)
	return err
}
