package metrics

// Kind is what can be done with a metric's value.
type Kind string

// The kinds.
const (
	Counter   Kind = "counter"
	Gauge     Kind = "gauge"
	Histogram Kind = "histogram"
)

// Definition is a metric as docs/metrics.md lists it.
type Definition struct {
	Name    string
	Kind    Kind
	Labels  []string
	Help    string
	buckets []float64 // seconds; of a histogram
}

// Names of metrics.
const (
	requests    = "voussoir_http_requests_total"
	requestTime = "voussoir_http_request_duration_seconds"

	begun = "voussoir_sign_ins_begun_total"
	ended = "voussoir_sign_ins_ended_total"

	inService = "voussoir_provider_in_service"
	up        = "voussoir_provider_up"
	changed   = "voussoir_provider_changed_timestamp_seconds"
	breaker   = "voussoir_provider_breaker"
	fetches   = "voussoir_provider_fetches_total"
	fetchTime = "voussoir_provider_fetch_duration_seconds"
	claims    = "voussoir_provider_claims_total"

	checks    = "voussoir_registry_checks_total"
	checkTime = "voussoir_registry_check_duration_seconds"

	tokens = "voussoir_tokens_issued_total"

	auditEntries = "voussoir_audit_entries_total"
	auditAppends = "voussoir_audit_appends_total"
	auditTime    = "voussoir_audit_append_duration_seconds"

	witnessAnswers = "voussoir_audit_witness_answers_total"
	witnessSigned  = "voussoir_audit_witness_cosigned_timestamp_seconds"

	storeCommits = "voussoir_store_commits_total"
	storeTime    = "voussoir_store_commit_duration_seconds"
	queue        = "voussoir_queue_length"

	keySince = "voussoir_key_active_since_timestamp_seconds"
	expiry   = "voussoir_certificate_expiry_timestamp_seconds"

	reloads      = "voussoir_config_reloads_total"
	reloadWorked = "voussoir_config_last_reload_successful"
	loaded       = "voussoir_config_loaded_timestamp_seconds"
	buildInfo    = "voussoir_build_info"
)

// Definitions lists every metric of ours, in the order of docs/metrics.md. Beside
// them there are those of the Go runtime (go_…) and of the process (process_…).
func Definitions() []Definition {
	quick := []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5}
	slow := []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}
	return []Definition{
		{requests, Counter, []string{"route", "method", "status"}, "Requests that were answered.", nil},
		{requestTime, Histogram, []string{"route"}, "Time from the headers of a request to its answer.", quick},

		{begun, Counter, []string{"provider"}, "People who were sent to an identity provider, or would have been.", nil},
		{ended, Counter, []string{"provider", "outcome"}, "Sign-ins at an identity provider that ended here.", nil},

		{inService, Gauge, []string{"provider"}, "1: the provider is offered; 0: the configuration or a command has switched it off.", nil},
		{up, Gauge, []string{"provider"}, "1: the provider works; 0: it does not.", nil},
		{changed, Gauge, []string{"provider"}, "When the provider last stopped working or worked again.", nil},
		{breaker, Gauge, []string{"provider", "state"}, "1 for the state of the provider's breaker, 0 for the other two.", nil},
		{fetches, Counter, []string{"provider", "call", "outcome"}, "Calls to an identity provider, those included that were not made.", nil},
		{fetchTime, Histogram, []string{"provider", "call"}, "Time of a call to an identity provider, to the last byte.", slow},
		{claims, Counter, []string{"provider", "claim", "promised", "sent"}, "Sign-ins by whether the provider promised a claim and whether it sent it.", nil},

		{checks, Counter, []string{"outcome"}, "Questions to the civil registry by what it said.", nil},
		{checkTime, Histogram, nil, "Time of a question to the civil registry.", slow},

		{tokens, Counter, []string{"grant", "client_auth"}, "Answers with tokens.", nil},

		{auditEntries, Counter, []string{"kind"}, "Entries of the audit log.", nil},
		{auditAppends, Counter, []string{"outcome"}, "Writes to the audit log alone.", nil},
		{auditTime, Histogram, nil, "Time of a write to the audit log alone, until it is durable.", quick},
		{witnessAnswers, Counter, []string{"witness", "outcome"}, "Checkpoints of the audit log that were shown to a witness.", nil},
		{witnessSigned, Gauge, []string{"witness"}, "The time of a witness's newest cosignature, by its clock.", nil},

		{storeCommits, Counter, []string{"store", "outcome"}, "Transactions that a store committed, or failed to.", nil},
		{storeTime, Histogram, []string{"store"}, "Time of a commit, the flush to the disk included.", quick},
		{queue, Gauge, []string{"queue"}, "What waits: writes of a store, and notices to services.", nil},

		{keySince, Gauge, []string{"use", "alg"}, "Since when the active key signs.", nil},
		{expiry, Gauge, []string{"certificate"}, "When a certificate of ours expires.", nil},

		{reloads, Counter, []string{"outcome"}, "Configurations that were taken over, or refused.", nil},
		{reloadWorked, Gauge, nil, "1: the newest configuration is in force; 0: it was refused, and the one before is.", nil},
		{loaded, Gauge, nil, "Since when the configuration in force is.", nil},
		{buildInfo, Gauge, []string{"version", "goversion"}, "Always 1.", nil},
	}
}

func helpOf(name string) string {
	for _, d := range Definitions() {
		if d.Name == name {
			return d.Help
		}
	}
	return ""
}
