package inventory

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/etch/etchtag/tagging/inventory/inventorytest"
	"pgregory.net/rapid"
)

// withStaleAnswers wraps a Lister for the conformance suite.
func withStaleAnswers(inner Lister, dir string) Lister {
	return WithStale(inner, StaleOptions{Age: time.Hour, ID: inner.Name(), Dir: dir, Now: time.Now}).(Lister)
}

// staleRig is an inventory with stale answers, whose inner inventory and clock are the test's.
type staleRig struct {
	inner   fake
	now     time.Time
	options StaleOptions
}

func newStaleRig(dir string) *staleRig {
	r := &staleRig{inner: fake{name: "cmdb"}, now: time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)}
	r.options = StaleOptions{Age: 10 * time.Hour, ID: "cmdb 1", Dir: dir, Now: func() time.Time { return r.now }}
	return r
}

// says sets the answer of the inner inventory for any host.
func (r *staleRig) says(a Answer) { r.inner = fake{name: "cmdb", answer: a} }

// fails makes the inner inventory fail.
func (r *staleRig) fails() { r.inner = fake{name: "cmdb", err: errDown} }

// lookup asks for a host, as a new process would.
func (r *staleRig) lookup(ctx context.Context, host string) (Answer, error) {
	return WithStale(r.inner, r.options).Lookup(ctx, host)
}

var errDown = errors.New("the server\nis down")

var webAnswer = Answer{Known: true, Groups: []string{"prod", "web"}, Pin: "tags/release-7", PinFrom: "http://cmdb/"}

// checkServed fails the test unless the answer is want, as an earlier one.
func checkServed(t *testing.T, a Answer, err error, want Answer, age string) {
	t.Helper()
	notes := a.Notes
	a.Notes, want.Notes = nil, nil
	if err != nil || !reflect.DeepEqual(a, want) || len(notes) != 1 ||
		notes[0] != "this was answered "+age+" ago; now: the server is down" {
		t.Errorf("got %+v with notes %q, %v; want %+v of %s ago", a, notes, err, want, age)
	}
}

// checkNone fails the test unless there is no answer, for the given reason.
func checkNone(t *testing.T, a Answer, err error, why string) {
	t.Helper()
	if !errors.Is(err, errDown) || !reflect.DeepEqual(a, Answer{}) ||
		!strings.Contains(err.Error(), "; no earlier answer is young enough: ") || !strings.Contains(err.Error(), why) {
		t.Errorf("got %+v, %v; want none: %s", a, err, why)
	}
}

func TestLastGoodAnswerServesWhileItIsYounger(t *testing.T) {
	r := newStaleRig(t.TempDir())
	r.says(webAnswer)
	if a, err := r.lookup(t.Context(), "h"); err != nil || !reflect.DeepEqual(a, webAnswer) {
		t.Fatalf("got %+v, %v", a, err)
	}
	r.fails()
	begin := r.now
	for after, age := range map[time.Duration]string{0: "0s", 90 * time.Minute: "1h30m0s", 10*time.Hour - 1: "9h59m59s"} {
		r.now = begin.Add(after)
		a, err := r.lookup(t.Context(), "h")
		checkServed(t, a, err, webAnswer, age)
	}
	for after, why := range map[time.Duration]string{
		10 * time.Hour:  "the last one is 10h0m0s old, and less than 10h0m0s is allowed",
		999 * time.Hour: "999h0m0s old",
		-1:              "the last one is of 2026-11-22T09:00:00Z, which is still to come",
	} {
		r.now = begin.Add(after)
		a, err := r.lookup(t.Context(), "h")
		checkNone(t, a, err, why)
	}
}

func TestAnswersAreOfOneHostAndOneConfiguration(t *testing.T) {
	r := newStaleRig(t.TempDir())
	r.says(webAnswer)
	mustLookup(t, WithStale(r.inner, r.options), "h")
	r.fails()
	a, err := r.lookup(t.Context(), "h2")
	checkNone(t, a, err, "none is recorded")
	r.options.ID = "cmdb 2"
	a, err = r.lookup(t.Context(), "h")
	checkNone(t, a, err, "none is recorded")
}

func TestGoodAnswerThatAHostIsUnknownIsTheLastGoodAnswer(t *testing.T) {
	r := newStaleRig(t.TempDir())
	r.says(webAnswer)
	mustLookup(t, WithStale(r.inner, r.options), "h")
	r.says(Answer{})
	if a, err := r.lookup(t.Context(), "h"); err != nil || !reflect.DeepEqual(a, Answer{}) {
		t.Errorf("got %+v, %v", a, err)
	}
	r.fails()
	a, err := r.lookup(t.Context(), "h")
	checkNone(t, a, err, "none is recorded")
}

func TestUnknownHostsLeaveNoTrace(t *testing.T) {
	r := newStaleRig(t.TempDir())
	for i := range 20 {
		if a, err := r.lookup(t.Context(), fmt.Sprint("h", i)); err != nil || !reflect.DeepEqual(a, Answer{}) {
			t.Fatalf("got %+v, %v", a, err)
		}
	}
	if entries, err := os.ReadDir(r.options.Dir); err != nil || len(entries) > 0 {
		t.Errorf("got %v, %v", entries, err)
	}
}

func TestRepeatedAnswerIsWrittenAfterATenthOfItsAgeOnly(t *testing.T) {
	r := newStaleRig(t.TempDir())
	writes := 0
	r.options.Step = func(label string) error {
		if label == "rename answer" {
			writes++
		}
		return nil
	}
	other := webAnswer
	other.Pin = ""
	for i, step := range []struct {
		answer  Answer
		advance time.Duration
		want    int // writes so far
	}{
		{webAnswer, 0, 1}, {webAnswer, 0, 1}, {webAnswer, time.Hour - 1, 1}, {webAnswer, 1, 2}, {other, 0, 3},
		{other, time.Minute, 3}, {webAnswer, 0, 4}, {webAnswer, -time.Second, 5}, {webAnswer, 0, 5},
	} {
		r.now = r.now.Add(step.advance)
		r.says(step.answer)
		mustLookup(t, WithStale(r.inner, r.options), "h")
		if writes != step.want {
			t.Errorf("step %d: %d writes, want %d", i, writes, step.want)
		}
	}
}

func TestCancelledLookupIsNotServed(t *testing.T) {
	r := newStaleRig(t.TempDir())
	r.says(webAnswer)
	mustLookup(t, WithStale(r.inner, r.options), "h")
	r.fails()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if a, err := r.lookup(ctx, "h"); err != errDown || a.Known {
		t.Errorf("got %+v, %v", a, err)
	}
	late, cancel := context.WithDeadline(t.Context(), time.Unix(1, 0))
	defer cancel()
	a, err := r.lookup(late, "h")
	checkServed(t, a, err, webAnswer, "0s")
}

func TestOnlyAListerListsWithStaleAnswers(t *testing.T) {
	r := newStaleRig(t.TempDir())
	if _, ok := WithStale(r.inner, r.options).(Lister); ok {
		t.Error("an inventory that cannot list does")
	}
	file := NewFile(t.TempDir()+"/none", "")
	listErr := WithStale(file, r.options).(Lister).Hosts(t.Context(), func(string, Answer) bool { return true })
	if !errors.Is(listErr, fs.ErrNotExist) {
		t.Errorf("a listing that fails: %v", listErr)
	}
}

func TestNotesOfTheInnerInventoryAreKept(t *testing.T) {
	r := newStaleRig(t.TempDir() + "/none")
	notes := append(make([]string, 0, 9), "read slowly")
	r.says(Answer{Known: true, Notes: notes})
	a := mustLookup(t, WithStale(r.inner, r.options), "h")
	if len(a.Notes) != 2 || a.Notes[0] != "read slowly" || notes[:2][1] != "" {
		t.Errorf("got %q, and %q", a.Notes, notes[:2])
	}
}

// genAnswer generates good answers, some of them that a host is unknown.
func genAnswer() *rapid.Generator[Answer] {
	return rapid.Custom(func(t *rapid.T) Answer {
		if rapid.IntRange(0, 4).Draw(t, "kind") == 0 {
			return Answer{}
		}
		a := Answer{Known: true, Pin: rapid.SampledFrom([]string{"", "trunk", "tags/é <&>\u2028"}).Draw(t, "pin")}
		if rapid.Bool().Draw(t, "in groups") {
			a.Groups = []string{rapid.SampledFrom([]string{"a", "b", "\"\\\n"}).Draw(t, "group")}
		}
		return a
	})
}

// TestAnyCourseOfEvents lets a clock that goes both ways, an inventory that fails now and then, and a file
// system on which at most one operation a lookup fails (though not removing) take their course.
func TestAnyCourseOfEvents(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := newStaleRig(inventorytest.TempDir(t))
		type good struct {
			answer   Answer
			at       time.Time
			recorded bool
		}
		last := map[string]good{} // by host
		for range rapid.IntRange(1, 40).Draw(t, "events") {
			r.now = r.now.Add(time.Duration(rapid.IntRange(-90, 240).Draw(t, "minutes")) * time.Minute)
			host := rapid.SampledFrom([]string{"h1", "h2"}).Draw(t, "host")
			broken := rapid.SampledFrom([]string{"", "", "", "make directory", "create answer", "write answer",
				"rename answer"}).Draw(t, "broken")
			r.options.Step = func(label string) error {
				if label == broken {
					return errors.New("disk full")
				}
				return nil
			}
			if rapid.Bool().Draw(t, "good") {
				r.says(genAnswer().Draw(t, "answer"))
				a, err := r.lookup(context.Background(), host)
				recorded := len(a.Notes) == 0
				if a.Notes = nil; err != nil || !reflect.DeepEqual(a, r.inner.answer) || !recorded && broken == "" {
					t.Fatalf("got %+v, %v", a, err)
				}
				last[host] = good{a, r.now, recorded}
				continue
			}
			r.fails()
			a, err := r.lookup(context.Background(), host)
			a.Notes = nil
			l, age := last[host], r.now.Sub(last[host].at)
			possible := l.answer.Known && age < r.options.Age
			must := possible && l.recorded && age >= 0 && age < r.options.Age*9/10
			switch {
			case err == nil && (!possible || !reflect.DeepEqual(a, l.answer)):
				t.Fatalf("%s ago it was %+v; served: %+v", age, l, a)
			case err != nil && (must || !errors.Is(err, errDown)):
				t.Fatalf("%s ago it was %+v: %v", age, l, err)
			}
		}
	})
}

func TestEveryFailedOperationLeavesTheAnswerAndANote(t *testing.T) {
	for _, broken := range []string{"make directory", "create answer", "write answer", "rename answer"} {
		r := newStaleRig(t.TempDir())
		r.options.Step = func(label string) error {
			if label == broken {
				return errDown
			}
			return nil
		}
		r.says(webAnswer)
		a, err := r.lookup(t.Context(), "h")
		if err != nil || !slices.Equal(a.Groups, webAnswer.Groups) || len(a.Notes) != 1 ||
			!strings.HasPrefix(a.Notes[0], "this answer could not be recorded: "+broken+" "+r.options.Dir) ||
			!strings.HasSuffix(a.Notes[0], ": the server is down") {
			t.Errorf("%s: %+v, %v", broken, a, err)
		}
		if files := filesBelow(t, r.options.Dir); len(files) > 0 {
			t.Errorf("%s: left %q", broken, files)
		}
	}
}

func TestSupersededAnswerThatCannotBeRemovedIsSaid(t *testing.T) {
	r := newStaleRig(t.TempDir())
	r.says(webAnswer)
	mustLookup(t, WithStale(r.inner, r.options), "h")
	r.options.Step = func(label string) error { return errDown }
	for _, a := range []Answer{{}, {Known: true}} {
		r.says(a)
		got := mustLookup(t, WithStale(r.inner, r.options), "h")
		if len(got.Notes) != 1 || !strings.Contains(got.Notes[0], "remove answer") {
			t.Errorf("got %+v", got)
		}
	}
}

// Answers of which each part tells which one it is.
func numberedAnswer(n int) Answer {
	a := Answer{Known: true, Pin: fmt.Sprint("tags/release-", n), PinFrom: fmt.Sprint("line ", n)}
	for range n % 40 {
		a.Groups = append(a.Groups, strings.Repeat(fmt.Sprint("group-", n, "-"), 8))
	}
	return a
}

func isNumbered(a Answer) bool {
	var n int
	if _, err := fmt.Sscanf(a.Pin, "tags/release-%d", &n); err != nil {
		return false
	}
	a.Notes = nil
	return reflect.DeepEqual(a, numberedAnswer(n))
}

// hammer asks for one host again and again, with good answers and with failures in turn.
func hammer(dir string, seed int) error {
	r := newStaleRig(dir)
	for n := range 60 {
		r.says(numberedAnswer(seed*1000 + n))
		if a, err := r.lookup(context.Background(), "h"); err != nil || len(a.Notes) > 0 {
			return fmt.Errorf("a good answer: %+v, %w", a, err)
		}
		r.fails()
		if a, err := r.lookup(context.Background(), "h"); err != nil || !isNumbered(a) {
			return fmt.Errorf("an earlier answer: %+v, %w", a, err)
		}
	}
	return nil
}

func TestManyAtOnceGetWholeAnswers(t *testing.T) {
	dir := t.TempDir()
	var wait sync.WaitGroup
	for i := range 4 {
		wait.Go(func() {
			if err := hammer(dir, i); err != nil {
				t.Error(err)
			}
		})
		wait.Go(func() {
			if out, err := staleChild("/proc/self/exe", dir, fmt.Sprint("hammer ", 100+i)).CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
	wait.Wait()
	if files := filesBelow(t, dir); len(files) != 1 {
		t.Errorf("left %q", files)
	}
}
