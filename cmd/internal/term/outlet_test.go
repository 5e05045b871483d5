package term

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// slowReader reads when it is told to.
type slowReader struct {
	bytes.Buffer
	reads chan error // what comes of the next Write
}

func (r *slowReader) Write(p []byte) (int, error) {
	if err := <-r.reads; err != nil {
		return 0, err
	}
	return r.Buffer.Write(p)
}

// follow has the reader read all that is written from now on.
func (r *slowReader) follow() { close(r.reads) }

func newSlowOutlet(room int) (*Outlet, *slowReader) {
	r := &slowReader{reads: make(chan error)}
	o := NewOutlet(r, room)
	o.tell = func(lost int, why error) []byte { return fmt.Appendf(nil, "[%d lost: %v]", lost, why) }
	return o, r
}

func TestOutletHasPassedOnWhatSomebodyReads(t *testing.T) {
	var out bytes.Buffer
	o, both := NewOutlet(&out, MaxUnread), NewOutlet(&out, MaxUnread)
	want := ""
	for i := range 100 {
		fmt.Fprint(o, i, ",")
		fmt.Fprint(both, i, ";")
		want += fmt.Sprint(i, ",", i, ";")
		if out.String() != want {
			t.Fatalf("%q was passed on, not %q", &out, want)
		}
	}
}

func TestOutletHoldsNobodyUpForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, reader := newSlowOutlet(1000)
		start := time.Now()
		for i := range 500 {
			fmt.Fprintf(o, "%03d,", i)
		}
		if took := time.Since(start); took != maxHoldUp {
			t.Errorf("it took %s, not %s", took, maxHoldUp)
		}
		reader.follow()
		synctest.Wait()
		fmt.Fprint(o, "next")
		if err := o.End(t.Context()); err != nil {
			t.Error(err)
		}
		if got := reader.String(); !strings.HasPrefix(got, "000,001,") || !strings.HasSuffix(got, "249,[250 lost: <nil>]next") {
			t.Errorf("got %q", got)
		}
	})
}

func TestOutletTellsOfWhatCouldNotBeWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		full := errors.New("full")
		o, reader := newSlowOutlet(MaxUnread)
		go func() {
			for range 3 {
				reader.reads <- full // the second time it is the notice of the first
			}
			reader.follow()
		}()
		fmt.Fprint(o, "a")
		fmt.Fprint(o, "b")
		fmt.Fprint(o, "c")
		if err := o.End(t.Context()); err != nil {
			t.Error(err)
		}
		if got := reader.String(); got != "[2 lost: full]c" {
			t.Errorf("got %q", got)
		}
	})
}

func TestOutletEndsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gone := errors.New("gone")
		o, reader := newSlowOutlet(MaxUnread)
		fmt.Fprint(o, "a")
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start := time.Now()
		if err := o.End(ctx); err != nil || time.Since(start) != time.Minute {
			t.Errorf("got %v after %s", err, time.Since(start))
		}
		reader.reads <- gone
		reader.follow()
		synctest.Wait()
		if err := o.End(t.Context()); err != gone || reader.String() != "[1 lost: gone]" {
			t.Errorf("got %v, %q", err, reader)
		}
	})
}

func TestOutletForAnswersLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, reader := newSlowOutlet(math.MaxInt)
		text := strings.Repeat("x", 1<<20)
		for range 20 {
			fmt.Fprint(o, text)
		}
		time.AfterFunc(time.Hour, reader.follow)
		if err := o.End(t.Context()); err != nil || reader.Len() != 20<<20 {
			t.Errorf("got %v, %d bytes", err, reader.Len())
		}
	})
}

func TestOutletOfManyWriters(t *testing.T) {
	var out bytes.Buffer
	o := NewOutlet(&out, MaxUnread)
	var writers sync.WaitGroup
	for range 10 {
		writers.Go(func() {
			for range 100 {
				fmt.Fprintln(o, "a line")
			}
		})
	}
	writers.Wait()
	if err := o.End(t.Context()); err != nil || out.String() != strings.Repeat("a line\n", 1000) {
		t.Errorf("got %v, %q", err, &out)
	}
}

func TestLossOfMessagesIsSaidInTheFormOfTheLog(t *testing.T) {
	for format, want := range map[string]string{
		"text": "etchtag: warning: 3 messages before this one could not be written: nobody was reading\n",
		"json": `"level":"WARN","msg":"3 messages before this one could not be written: nobody was reading"}` + "\n",
	} {
		messages := NewOutlet(&bytes.Buffer{}, MaxUnread)
		if _, err := NewLog(messages, format, slog.LevelWarn, false); err != nil {
			t.Fatal(err)
		}
		if got := string(messages.tell(3, nil)); !strings.HasSuffix(got, want) {
			t.Errorf("got %q, not %q", got, want)
		}
	}
}
