package identity

// Corrected is id as the civil registry has it. What the provider said stays
// beside it.
func (id Identity) Corrected(p Pivot) Identity {
	said := id.Pivot
	id.Pivot, id.Original = p, &said
	return id
}

// original is id as the provider gave it, and whether that was corrected.
func (id Identity) original() (Identity, bool) {
	if id.Original == nil || !id.Civil {
		return id, false
	}
	id.Pivot, id.Original = *id.Original, nil
	return id, true
}

// said is the pivot as the provider gave it.
func (id Identity) said() Pivot {
	if id.Original != nil {
		return *id.Original
	}
	return id.Pivot
}
