package sandbox

import (
	"fmt"
	"strings"
	"time"

	"github.com/voussoir-id/voussoir/protocol"
)

// The two providers of the demo world, as the table below names them.
const (
	Tax  protocol.ProviderID = "tax"  // signs in at eidas1
	Post protocol.ProviderID = "post" // signs in at eidas2
)

// Identity is one invented person as one provider knows her. The fields are the
// claims that an identity provider sends; empty PreferredUsername and Email are not sent,
// an empty Birthplace is (born abroad).
type Identity struct {
	ID                string // [a-z0-9-]: the value of her button, and its element id after "identity-"
	GivenName         string
	FamilyName        string
	PreferredUsername string
	Birthdate         string
	Gender            string
	Birthplace        string
	Birthcountry      string
	Email             string
	EmailVerified     bool
	PostalCode        string // of her address; "": none is sent
	Locality          string
	Note              protocol.Text // what she is good for in a test
}

// spelling is how a provider writes a person's names.
type spelling uint8

const (
	unknown  spelling = iota // this provider does not know her
	asIs                     // as in the table
	capitals                 // all in capitals, as older registers do
)

// entry is a row of the table: a person, and who knows her.
type entry struct {
	Identity
	tax, post spelling
}

// Identities returns the people whom provider knows, in the order of the table.
// Two of them are always 15 and 16 years old: their birthday is 1 January, so
// that they stay the same people for a whole calendar year of now.
func Identities(provider protocol.ProviderID, now time.Time) []Identity {
	var out []Identity
	for _, e := range people(now) {
		how := unknown
		switch provider {
		case Tax:
			how = e.tax
		case Post:
			how = e.post
		}
		switch how {
		case asIs:
			out = append(out, e.Identity)
		case capitals:
			id := e.Identity
			id.GivenName, id.FamilyName = strings.ToUpper(id.GivenName), strings.ToUpper(id.FamilyName)
			id.PreferredUsername = strings.ToUpper(id.PreferredUsername)
			out = append(out, id)
		}
	}
	return out
}

// turned is the birth date of somebody who has been this old since 1 January.
func turned(age int, now time.Time) string { return fmt.Sprintf("%04d-01-01", now.UTC().Year()-age) }

// INSEE codes of countries (COG); a commune is five characters, empty abroad.
const (
	france   = "99100"
	portugal = "99139"
	senegal  = "99341"
	vietnam  = "99243"
)

// people is the table. Nobody in it is real: the family names are parts of
// buildings. A new row takes one line in TestIdentities_CoverWhatTheDemoPromises.
func people(now time.Time) []entry {
	return []entry{
		{Identity{
			ID: "camille", GivenName: "Camille", FamilyName: "Linteau", Birthdate: "1984-06-21", Gender: "female",
			Birthplace: "69123", Birthcountry: france, Email: "camille.linteau@mail.example", EmailVerified: true,
			PostalCode: "69100", Locality: "Villeurbanne",
			Note: note("Known to both providers; one of them writes in capitals", "Connue des deux fournisseurs ; l’un écrit en capitales"),
		}, asIs, capitals},
		{Identity{
			ID: "zoe", GivenName: "Zoé Maëlys", FamilyName: "D'Œillet-L'Étançon", Birthdate: "1991-02-28", Gender: "female",
			Birthplace: "29019", Birthcountry: france, Email: "zoe@etancon.example", EmailVerified: true,
			PostalCode: "75003", Locality: "PARIS 03",
			Note: note("Accents, a ligature and apostrophes", "Accents, ligature et apostrophes"),
		}, asIs, asIs},
		{Identity{
			ID: "jean-baptiste", GivenName: "Jean-Baptiste Aurélien Côme", FamilyName: "Pilastre", Birthdate: "1969-07-21", Gender: "male",
			Birthplace: "13055", Birthcountry: france, Email: "jb.pilastre@mail.example", EmailVerified: true,
			PostalCode: "13901", Locality: "MARSEILLE CEDEX 20",
			Note: note("Several given names", "Plusieurs prénoms"),
		}, asIs, asIs},
		{Identity{
			ID: "solene", GivenName: "Solène", FamilyName: "Voussure", PreferredUsername: "Pilastre-Voussure", Birthdate: "1973-11-30", Gender: "female",
			Birthplace: "35238", Birthcountry: france, Email: "solene.voussure@mail.example", EmailVerified: true,
			Note: note("Has a usage name", "Porte un nom d’usage"),
		}, asIs, asIs},
		{Identity{
			ID: "ines", GivenName: "Inês Filipa", FamilyName: "Arcobotante", Birthdate: "1995-09-02", Gender: "female",
			Birthplace: "", Birthcountry: portugal, Email: "ines@arcobotante.example", EmailVerified: true,
			Note: note("Born abroad: no birthplace", "Née à l’étranger : pas de commune de naissance"),
		}, asIs, asIs},
		{Identity{
			ID: "moussa", GivenName: "Moussa", FamilyName: "Contrefort", Birthdate: "1980-00-00", Gender: "male",
			Birthplace: "", Birthcountry: senegal, Email: "moussa.contrefort@mail.example", EmailVerified: true,
			Note: note("Presumed birth date: only the year is known", "Date de naissance présumée : seule l’année est connue"),
		}, asIs, asIs},
		{Identity{
			ID: "thi-lan", GivenName: "Thị Lan", FamilyName: "Chapiteau", Birthdate: "1976-05-00", Gender: "female",
			Birthplace: "", Birthcountry: vietnam, Email: "lan@chapiteau.example", EmailVerified: true,
			Note: note("Presumed birth date: the day is not known", "Date de naissance présumée : jour inconnu"),
		}, asIs, unknown},
		{Identity{
			ID: "lou", GivenName: "Lou", FamilyName: "Claveau", Birthdate: turned(15, now), Gender: "unspecified",
			Birthplace: "44109", Birthcountry: france, Email: "lou.claveau@mail.example", EmailVerified: true,
			Note: note("Is 15", "A 15 ans"),
		}, asIs, asIs},
		{Identity{
			ID: "noe", GivenName: "Noé", FamilyName: "Trumeau", Birthdate: turned(16, now), Gender: "male",
			Birthplace: "31555", Birthcountry: france, Email: "noe.trumeau@mail.example", EmailVerified: true,
			Note: note("Is 16", "A 16 ans"),
		}, asIs, asIs},
		{Identity{
			ID: "ambre", GivenName: "Ambre", FamilyName: "Balustre", Birthdate: "2001-03-14", Gender: "female",
			Birthplace: "67482", Birthcountry: france, Email: "ambre.balustre@mail.example", EmailVerified: true,
			Note: note("Twin of Jade", "Jumelle de Jade"),
		}, asIs, asIs},
		{Identity{
			ID: "jade", GivenName: "Jade", FamilyName: "Balustre", Birthdate: "2001-03-14", Gender: "female",
			Birthplace: "67482", Birthcountry: france, Email: "jade.balustre@mail.example", EmailVerified: true,
			Note: note("Twin of Ambre", "Jumelle d’Ambre"),
		}, asIs, asIs},
		{Identity{
			ID:         "maximilienne",
			GivenName:  "Maximilienne Hippolyte-Apollinaire Bérengère Wilhelmine Anne-Charlotte Euphrosyne Marie-Philippine",
			FamilyName: "de la Tour-Lanterne de Saint-Barthélemy-des-Arcs-Boutants et de Notre-Dame-des-Croisées-d'Ogives",
			Birthdate:  "1958-12-24", Gender: "female", Birthplace: "33063", Birthcountry: france,
			Email: "maximilienne.de-la-tour-lanterne-de-saint-barthelemy@croisees-d-ogives.example", EmailVerified: true,
			Note: note("A very long name", "Un nom très long"),
		}, asIs, asIs},
		{Identity{
			ID: "y", GivenName: "Élie", FamilyName: "Y", Birthdate: "1988-08-08", Gender: "male",
			Birthplace: "59350", Birthcountry: france, Email: "y@mail.example", EmailVerified: true,
			Note: note("A name of a single letter", "Un nom d’une seule lettre"),
		}, asIs, asIs},
		{Identity{
			ID: "corentine", GivenName: "Corentine", FamilyName: "Échauguette", Birthdate: "1949-01-02", Gender: "female",
			Birthplace: "2A004", Birthcountry: france,
			Note: note("Has no e-mail address; born in Corsica", "N’a pas d’adresse électronique ; née en Corse"),
		}, asIs, asIs},
		{Identity{
			ID: "bastien", GivenName: "Bastien", FamilyName: "Corniche", Birthdate: "1999-10-17", Gender: "male",
			Birthplace: "97411", Birthcountry: france, Email: "bastien.corniche@mail.example", EmailVerified: false,
			Note: note("E-mail address not verified", "Adresse électronique non vérifiée"),
		}, asIs, asIs},
		{Identity{
			ID: "oriane", GivenName: "Oriane", FamilyName: "Clé-de-Voûte", Birthdate: "1986-04-04", Gender: "female",
			Birthplace: "75056", Birthcountry: france, Email: "oriane@clef.example", EmailVerified: true,
			Note: note("Known here only", "Connue ici seulement"),
		}, unknown, asIs},
		{Identity{
			ID: "fautif", GivenName: "Prosper", FamilyName: "Porte-à-Faux", Birthdate: "1980-13-45", Gender: "male",
			Birthplace: "38185", Birthcountry: france, Email: "prosper@porte-a-faux.example", EmailVerified: true,
			Note: note("Broken record: 13th month, 45th day", "Fiche erronée : 13e mois, 45e jour"),
		}, asIs, asIs},
		// What the civil registry says of these: registry.go.
		{Identity{
			ID: "margueritte", GivenName: "Margueritte", FamilyName: "Ogive", Birthdate: "1962-08-14", Gender: "female",
			Birthplace: "21231", Birthcountry: france, Email: "margueritte.ogive@mail.example", EmailVerified: true,
			Note: note("The civil registry writes her otherwise", "L’état civil l’écrit autrement"),
		}, asIs, asIs},
		{Identity{
			ID: "moellon", GivenName: "Pierre", FamilyName: "Moellon", Birthdate: "1970-01-01", Gender: "male",
			Birthplace: "75056", Birthcountry: france, Email: "moellon.moellon@mail.example", EmailVerified: true,
			Note: note("The civil registry knows several of him", "L’état civil en connaît plusieurs"),
		}, asIs, asIs},
		{Identity{
			ID: "pignon", GivenName: "Zélie", FamilyName: "Pignon", Birthdate: "1990-11-11", Gender: "female",
			Birthplace: "87085", Birthcountry: france, Email: "pignon.pignon@mail.example", EmailVerified: true,
			Note: note("The civil registry does not know her", "L’état civil ne la connaît pas"),
		}, asIs, asIs},
		{Identity{
			ID: "lincoir", GivenName: "Octave", FamilyName: "Linçoir", Birthdate: "1977-04-30", Gender: "male",
			Birthplace: "06088", Birthcountry: france, Email: "lincoir.lincoir@mail.example", EmailVerified: true,
			Note: note("The civil registry refuses to say", "L’état civil refuse de répondre"),
		}, asIs, asIs},
		{Identity{
			ID: "archivolte", GivenName: "Honorine", FamilyName: "Archivolte", Birthdate: "1931-02-03", Gender: "female",
			Birthplace: "64445", Birthcountry: france, Email: "archivolte.archivolte@mail.example", EmailVerified: true,
			Note: note("Dead, says the civil registry", "Décédée, dit l’état civil"),
		}, asIs, asIs},
		{Identity{
			ID: "lambris", GivenName: "Fantine", FamilyName: "Lambris", Birthdate: "1985-05-05", Gender: "female",
			Birthplace: "62041", Birthcountry: france, Email: "lambris.lambris@mail.example", EmailVerified: true,
			Note: note("The civil registry breaks down", "L’état civil tombe en panne"),
		}, asIs, asIs},
		{Identity{
			ID: "lucarne", GivenName: "Modeste", FamilyName: "Lucarne", Birthdate: "1966-10-10", Gender: "male",
			Birthplace: "76540", Birthcountry: france, Email: "lucarne.lucarne@mail.example", EmailVerified: true,
			Note: note("The civil registry takes too long", "L’état civil met trop longtemps"),
		}, asIs, asIs},
	}
}

func note(en, fr string) protocol.Text { return protocol.Text{"en": en, "fr": fr} }
