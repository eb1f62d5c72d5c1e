package protocol

// Claim is the name of a fact about a person (OpenID Connect Core section 5.1).
type Claim string

// The claims that can leave Voussoir. sub is not among them: it is always the
// pairwise subject and is never chosen by a policy.
const (
	GivenName         Claim = "given_name"         // all birth first names
	FamilyName        Claim = "family_name"        // birth name
	Birthdate         Claim = "birthdate"          // YYYY-MM-DD; -00 where presumed
	Gender            Claim = "gender"             // male | female | unspecified
	Birthplace        Claim = "birthplace"         // INSEE COG; empty when born abroad
	Birthcountry      Claim = "birthcountry"       // INSEE COG; France 99100
	PreferredUsername Claim = "preferred_username" // usage name
	Email             Claim = "email"              // email_verified goes with it and is no choice of its own
	AgeOver15         Claim = "age_over_15"
	AgeOver16         Claim = "age_over_16"
	AgeOver18         Claim = "age_over_18"

	// Where the person lives, by INSEE COG codes of decreasing size: the coarsest one
	// that does is enough.
	ResidentOfRegion      Claim = "resident_of_region"
	ResidentOfDepartement Claim = "resident_of_departement"
	ResidentOfCommune     Claim = "resident_of_commune"

	IdPGivenName  Claim = "idp_given_name" // as the provider wrote it, whatever the civil registry made of it
	IdPFamilyName Claim = "idp_family_name"
	IdPBirthdate  Claim = "idp_birthdate"
	IdPID         Claim = "idp_id" // which provider was used; hidden unless a policy says so
	AMR           Claim = "amr"
)

// Claims lists every claim that can be released, in the order in which pages
// show them.
func Claims() []Claim {
	return []Claim{
		GivenName, FamilyName, PreferredUsername, Birthdate, Gender, Birthplace,
		Birthcountry, Email, AgeOver15, AgeOver16, AgeOver18,
		ResidentOfRegion, ResidentOfDepartement, ResidentOfCommune,
		IdPGivenName, IdPFamilyName, IdPBirthdate, IdPID, AMR,
	}
}

// Residences are the claims of where a person lives, the coarsest first.
func Residences() []Claim { return []Claim{ResidentOfRegion, ResidentOfDepartement, ResidentOfCommune} }

// Known reports whether c can be released at all.
func (c Claim) Known() bool {
	for _, k := range Claims() {
		if k == c {
			return true
		}
	}
	return false
}

// Civil reports whether c comes from the civil identity, and so is what the civil
// registry can confirm: the six facts, and the ages that follow from one of them.
func (c Claim) Civil() bool {
	switch c {
	case GivenName, FamilyName, Birthdate, Gender, Birthplace, Birthcountry,
		AgeOver15, AgeOver16, AgeOver18, IdPGivenName, IdPFamilyName, IdPBirthdate:
		return true
	}
	return false
}

// Scope is a scope value (RFC 6749 section 3.3).
type Scope string

// OpenID is the scope that every request must carry (OpenID Connect Core
// 3.1.2.1). OfflineAccess asks to come back while the person is away (section 11);
// a service that may not has never asked.
const (
	OpenID        Scope = "openid"
	OfflineAccess Scope = "offline_access"
)

// scopeClaims keeps FranceConnect's scope names, so that services migrate by
// changing the issuer.
var scopeClaims = map[Scope][]Claim{
	OpenID:               nil,
	OfflineAccess:        nil,
	"given_name":         {GivenName},
	"family_name":        {FamilyName},
	"birthdate":          {Birthdate},
	"gender":             {Gender},
	"birthplace":         {Birthplace},
	"birthcountry":       {Birthcountry},
	"email":              {Email},
	"preferred_username": {PreferredUsername},
	"profile":            {GivenName, FamilyName, Birthdate, Gender, PreferredUsername},
	"birth":              {Birthplace, Birthcountry},
	"identite_pivot":     {GivenName, FamilyName, Birthdate, Gender, Birthplace, Birthcountry},
	"idp_given_name":     {IdPGivenName},
	"idp_family_name":    {IdPFamilyName},
	"idp_birthdate":      {IdPBirthdate},
	"idp_id":             {IdPID},
	"amr":                {AMR},
	"age_over_15":        {AgeOver15},
	"age_over_16":        {AgeOver16},
	"age_over_18":        {AgeOver18},
	"resident_of":        Residences(),
}

// Scopes lists the scopes that we understand, sorted with openid first.
func Scopes() []Scope {
	return []Scope{
		OpenID, "age_over_15", "age_over_16", "age_over_18", "amr", "birth", "birthcountry", "birthdate",
		"birthplace", "email", "family_name", "gender", "given_name", "identite_pivot",
		"idp_birthdate", "idp_family_name", "idp_given_name", "idp_id", OfflineAccess, "preferred_username", "profile", "resident_of",
	}
}

// Claims returns what a scope asks for; nil for openid, offline_access and unknown
// scopes.
func (s Scope) Claims() []Claim { return scopeClaims[s] }

// Known reports whether we understand s.
func (s Scope) Known() bool { _, ok := scopeClaims[s]; return ok }
