package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/voussoir-id/voussoir/audit"
)

// maxPart is the longest part of a log that is read, in bytes.
const maxPart = 16 << 20

// verifyRemote verifies what a broker shows to everybody.
func (p *program) verifyRemote(ctx context.Context, address string, ks []string, remember string, since []string, quorum audit.Quorum, asJSON bool) error {
	if len(ks) == 0 {
		return usageError("--from-url needs --key KEY, from somewhere else than that address")
	}
	if err := enoughWitnesses(quorum); err != nil {
		return err
	}
	address = strings.TrimSuffix(strings.TrimSuffix(address, "/"), audit.PathPrefix)
	client := &http.Client{Timeout: 30 * time.Second}
	v := &audit.Remote{Origin: audit.Origin(address), Quorum: quorum, Progress: p.progress("entries")}
	v.Fetch = func(ctx context.Context, path string) ([]byte, error) {
		return fetchPart(ctx, client, address+audit.PathPrefix+"/"+path)
	}
	for _, k := range ks {
		key, err := audit.KeyOf(k)
		if err != nil {
			return usageError(err.Error())
		}
		v.Keys = append(v.Keys, key)
	}
	var err error
	if v.Remembered, err = readCheckpoints(remember, since); err != nil {
		return err
	}
	start := p.now()
	report, err := v.Run(ctx)
	if err != nil {
		return err
	}
	if err := p.sayReport(report, asJSON, p.now().Sub(start)); err != nil {
		return err
	}
	if !report.OK() {
		return alreadySaid(exitFailure)
	}
	return rememberCheckpoint(remember, report.Checkpoint)
}

func fetchPart(ctx context.Context, client *http.Client, address string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, fmt.Errorf("fetch a part of the log: %w", err)
	}
	res, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("fetch a part of the log: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("fetch %s: %s", address, res.Status)
	}
	b, err := io.ReadAll(io.LimitReader(res.Body, maxPart+1))
	if err == nil && len(b) > maxPart {
		err = fmt.Errorf("fetch %s: the answer is too long", address)
	}
	return b, err
}
