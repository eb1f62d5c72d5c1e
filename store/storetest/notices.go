package storetest

import (
	"testing"
	"time"

	"github.com/voussoir-id/voussoir/notices"
)

// Notices checks notices.Store. open returns an empty store and closes it with the
// test.
func Notices(t *testing.T, open func(t *testing.T) notices.Store) {
	news := func(client string, due time.Duration) notices.Notice {
		return notices.Notice{
			ID: notices.NewID(), Kind: "logout", Client: client, Sealed: []byte("sealed"),
			Due: base.Add(due), Expires: base.Add(15 * time.Minute),
		}
	}
	t.Run("a notice comes back when it is due, the longest due first", func(t *testing.T) {
		s := open(t)
		late, early, other := news("library", time.Minute), news("library", 0), news("town", 0)
		must(t, s.AddNotices(t.Context(), late, early, other))
		for now, want := range map[time.Duration][]notices.Notice{-time.Second: nil, 0: {early}, time.Minute: {early, late}} {
			got, err := s.DueNotices(t.Context(), "library", base.Add(now), 10)
			must(t, err)
			same(t, "DueNotices at "+now.String(), got, want)
		}
		got, err := s.DueNotices(t.Context(), "library", base.Add(time.Minute), 1)
		must(t, err)
		same(t, "DueNotices of one", got, []notices.Notice{early})
	})
	t.Run("each receiver is found once on a round", func(t *testing.T) {
		s := open(t)
		must(t, s.AddNotices(t.Context(), news("b", 0), news("a", time.Hour), news("c", 0), news("b", 0)))
		var round []string
		for at := ""; ; {
			next, err := s.NextReceiver(t.Context(), at)
			must(t, err)
			if next == "" {
				break
			}
			round, at = append(round, next), next
		}
		same(t, "round", round, []string{"a", "b", "c"})
	})
	t.Run("what is put off comes later with its tries, what is removed never", func(t *testing.T) {
		s := open(t)
		put, gone := news("library", 0), news("library", 0)
		must(t, s.AddNotices(t.Context(), put, gone))
		must(t, s.PostponeNotice(t.Context(), put.ID, 2, base.Add(time.Minute)))
		must(t, s.RemoveNotice(t.Context(), gone.ID))
		got, err := s.DueNotices(t.Context(), "library", base, 10)
		must(t, err)
		same(t, "now", got, nil)
		put.Tries, put.Due = 2, base.Add(time.Minute)
		got, err = s.DueNotices(t.Context(), "library", base.Add(time.Minute), 10)
		must(t, err)
		same(t, "later", got, []notices.Notice{put})
	})
	t.Run("all or nothing is added", func(t *testing.T) {
		s, x := open(t), news("library", 0)
		if err := s.AddNotices(t.Context(), news("library", 0), x, x); err == nil {
			t.Error("an id twice: no error")
		}
		got, err := s.DueNotices(t.Context(), "library", base, 10)
		must(t, err)
		same(t, "DueNotices", got, nil)
	})
	t.Run("a caller who has gone gets an error", func(t *testing.T) {
		s := open(t)
		ctx := cancelled(t)
		wantUnknown(t, "AddNotices", s.AddNotices(ctx, news("library", 0)))
		_, err := s.NextReceiver(ctx, "")
		wantUnknown(t, "NextReceiver", err)
		_, err = s.DueNotices(ctx, "library", base, 1)
		wantUnknown(t, "DueNotices", err)
		wantUnknown(t, "PostponeNotice", s.PostponeNotice(ctx, "x", 1, base))
		wantUnknown(t, "RemoveNotice", s.RemoveNotice(ctx, "x"))
	})
}
