package audit

// Witnessed is who has cosigned the checkpoint that a verification was about.
type Witnessed struct {
	Size         int64         `json:"size"` // of the tree of that checkpoint
	Cosignatures []Cosignature `json:"cosignatures"`
}

// toShow is the checkpoint that everybody is shown.
func (r *verification) toShow() Checkpoint {
	if r.shown.Size > 0 {
		return r.shown
	}
	return r.head
}

// checkQuorum asks for the cosignatures of witnesses. Where they are missing nothing
// says that this is the history that others have seen: so all of it is in doubt.
func (r *verification) checkQuorum() {
	if len(r.Quorum.Keys) == 0 && r.Quorum.Need == 0 {
		return
	}
	c := r.toShow()
	found, err := r.Quorum.Met(c.Note)
	r.report.Witnessed = &Witnessed{Size: c.Size, Cosignatures: append([]Cosignature{}, found...)}
	if err != nil {
		r.wrong(0, "%v", err)
	}
}
