package config

import "strconv"

// Statistics are open figures at /status (docs/statistics.md).
type Statistics struct {
	// LeastPeople is how many different people must have signed in to a service on a day
	// for its number to be shown, 5 to 1000. Default 10.
	LeastPeople int `yaml:"least_people" eg:"10"`
	// LicenceName is under which terms the figures may be used, with licence_url beside it.
	// Default Licence Ouverte 2.0.
	LicenceName string `yaml:"licence_name" eg:"Licence Ouverte 2.0"`
	// LicenceURL is where the terms are; https. Default that of the Licence Ouverte at Etalab.
	LicenceURL string `yaml:"licence_url" eg:"https://www.etalab.gouv.fr/licence-ouverte-open-licence"`
}

const (
	usualLeastPeople = 10
	fewestLeast      = 5    // fewer could find out about each other
	mostLeast        = 1000 // beyond it nobody is counted
	usualLicence     = "Licence Ouverte 2.0"
	usualLicenceURL  = "https://www.etalab.gouv.fr/licence-ouverte-open-licence"
)

func statisticsDefaults(f *File) {
	s := &f.Statistics
	if s.LeastPeople == 0 {
		s.LeastPeople = usualLeastPeople
	}
	if s.LicenceName == "" && s.LicenceURL == "" {
		s.LicenceName, s.LicenceURL = usualLicence, usualLicenceURL
	}
}

func (c *checker) statistics() {
	const at = "statistics"
	s := c.f.Statistics
	if n := s.LeastPeople; (n < fewestLeast || n > mostLeast) && c.ok(at+".least_people") {
		c.add(at+".least_people", strconv.Itoa(n)+" people: it is from 5 to 1000", "least_people: 10")
	}
	if (s.LicenceName == "") != (s.LicenceURL == "") {
		c.add(at, "a licence has a name and an address", "licence_name and licence_url, or neither")
	}
	c.uri(at+".licence_url", s.LicenceURL)
}
