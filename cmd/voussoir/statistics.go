package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/voussoir-id/voussoir/protocol"
	"github.com/voussoir-id/voussoir/stats"
	"github.com/voussoir-id/voussoir/web"
)

const (
	// countEvery is how often it is looked whether a day is over that was not counted.
	countEvery = time.Minute
	// shownDays is how many days the open figures are of.
	shownDays = 30
)

// countDays counts the days that are over until ctx ends.
func (b *broker) countDays(ctx context.Context) error {
	counter, err := stats.New(b.records, b.now)
	if err != nil {
		return err
	}
	tick := time.NewTicker(countEvery)
	defer tick.Stop()
	for {
		more, err := counter.Count(ctx)
		if err == nil && !more {
			err = b.readDays(ctx)
		}
		if err != nil && ctx.Err() == nil {
			b.events.LogAttrs(ctx, slog.LevelError, "a day was not counted", slog.Bool("alarm", true), slog.String("error", err.Error()))
		}
		if more && err == nil && ctx.Err() == nil {
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// readDays keeps the days that are shown at hand: whoever asks, however often, reads no
// store, and the page of who works needs none.
func (b *broker) readDays(ctx context.Context) error {
	days, err := b.records.Days(ctx, b.now().UTC().AddDate(0, 0, -shownDays).Format(time.DateOnly))
	if err != nil {
		return fmt.Errorf("read counted days: %w", err)
	}
	b.days.Store(&days)
	return nil
}

// openFigures are those that everybody may know.
func (b *broker) openFigures() web.Statistics {
	now := b.current.Load()
	cfg := now.loaded.Statistics
	out := web.Statistics{Least: cfg.LeastPeople, Licence: web.Licence{Name: cfg.LicenceName, URL: cfg.LicenceURL}}
	if days := b.days.Load(); days != nil {
		for _, d := range *days {
			p := stats.Publish(d, cfg.LeastPeople)
			out.Days = append(out.Days, web.StatisticsDay{Date: p.Date, Total: p.Total, Services: now.figures(p.Services)})
		}
	}
	return out
}

// figures names what has a name today.
func (s *snapshot) figures(all []stats.Number) []web.Figure {
	out := make([]web.Figure, 0, len(all))
	for _, n := range all {
		f := web.Figure{ID: n.Name, N: n.N}
		if c, ok := s.clients.Get(protocol.ClientID(n.Name)); ok {
			f.Name = c.Name
		}
		out = append(out, f)
	}
	return out
}

func (b *broker) serveFigures(write func(http.ResponseWriter, *http.Request, web.Statistics) error) web.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		return write(w, r, b.openFigures())
	}
}
