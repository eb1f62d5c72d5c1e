package identity

import (
	"slices"
	"time"

	"github.com/voussoir-id/voussoir/protocol"
)

// Has lists the claims that have a value, in the order of protocol.Claims.
func (id Identity) Has() []protocol.Claim {
	var has []protocol.Claim
	for _, c := range protocol.Claims() {
		if _, ok := id.Value(c); ok {
			has = append(has, c)
		}
	}
	return has
}

// Value returns the value of a claim as a service would get it (a string, a bool
// or a []string that is the caller's own), or false when there is none. The
// birthplace of people born abroad is known to be empty, as at FranceConnect:
// it has the value "", so that a service which needs it does not lock them out.
func (id Identity) Value(c protocol.Claim) (any, bool) {
	p := id.Pivot
	switch c {
	case protocol.GivenName:
		return unlessEmpty(p.GivenName)
	case protocol.FamilyName:
		return unlessEmpty(p.FamilyName)
	case protocol.Birthdate:
		return unlessEmpty(p.Birthdate)
	case protocol.Gender:
		return unlessEmpty(p.Gender)
	case protocol.Birthplace:
		return p.Birthplace, p.Birthplace != "" || p.bornAbroad()
	case protocol.Birthcountry:
		return unlessEmpty(p.Birthcountry)
	case protocol.PreferredUsername:
		return unlessEmpty(id.PreferredUsername)
	case protocol.Email:
		return unlessEmpty(id.Email)
	case protocol.AgeOver15:
		return id.ageOver(15)
	case protocol.AgeOver16:
		return id.ageOver(16)
	case protocol.AgeOver18:
		return id.ageOver(18)
	case protocol.ResidentOfRegion, protocol.ResidentOfDepartement, protocol.ResidentOfCommune:
		return unlessEmpty(id.Residence.code(c))
	case protocol.IdPGivenName:
		return unlessEmpty(id.said().GivenName)
	case protocol.IdPFamilyName:
		return unlessEmpty(id.said().FamilyName)
	case protocol.IdPBirthdate:
		return unlessEmpty(id.said().Birthdate)
	case protocol.IdPID:
		return unlessEmpty(string(id.Provider))
	case protocol.AMR:
		return slices.Clone(id.AMR), len(id.AMR) > 0
	}
	return nil, false
}

func unlessEmpty(s string) (any, bool) { return s, s != "" }

// ageOver says whether the person is certainly that old on the day (UTC) the
// identity was verified: unknown without a birth date or that day. Someone born
// on 29 February comes of age on 1 March in a common year, because Date carries
// the day that does not exist over.
func (id Identity) ageOver(years int) (any, bool) {
	born, ok := latestBirth(id.Pivot.Birthdate)
	if !ok || id.AsOf.IsZero() {
		return nil, false
	}
	birthday := time.Date(born.Year()+years, born.Month(), born.Day(), 0, 0, 0, 0, time.UTC)
	return !id.AsOf.UTC().Before(birthday), true
}

// Age is how many whole years the person has certainly lived on the day of the
// sign-in, or false when nobody knows. It agrees with the age_over claims.
func (id Identity) Age() (int, bool) {
	born, ok := latestBirth(id.Pivot.Birthdate)
	if !ok || id.AsOf.IsZero() {
		return 0, false
	}
	years := max(id.AsOf.UTC().Year()-born.Year(), 0)
	for over, _ := id.ageOver(years); over == false && years > 0; over, _ = id.ageOver(years) {
		years--
	}
	return years, true
}

// latestBirth is the last day on which the person can have been born. Presumed
// dates get the cautious answer: the last day of the month or of the year.
func latestBirth(birthdate string) (time.Time, bool) {
	year, month, day, ok := splitDate(birthdate)
	if !ok {
		return time.Time{}, false
	}
	if month == 0 {
		month = 12
	}
	if day == 0 {
		month++ // day 0 of the next month is the last day of this one
	}
	return time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC), true
}
