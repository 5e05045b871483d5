package main

import (
	"context"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"
)

// interruption is a context that SIGINT and SIGTERM end. It catches them from the moment on at which somebody
// asks for its end, so as to wait for it; before that they end the process, as they would any. To catch signals takes
// threads and their handshakes, which is more than a whole decision takes; and whoever only reads files has nothing to
// bring to an end.
type interruption struct {
	mu     sync.Mutex
	caught context.Context // nil until signals are caught
	stop   func()
}

var _ context.Context = (*interruption)(nil)

// readers are the commands that do no more than read files and ask inventories, some of them often and in a hurry.
var readers = []string{"nodetagger", "explain", "list", "show", "hosts", "status"}

// beginReading begins a command that only reads. Nothing has to be brought to an end.
func (a *app) beginReading(*cli.Context) error {
	a.alone = a.own
	return nil
}

// beginActing begins a command that changes something. It catches signals before that, and ends between two steps.
func (a *app) beginActing(c *cli.Context) error {
	c.Context.Done()
	return nil
}

// Done implements context.Context.
func (i *interruption) Done() <-chan struct{} {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.caught == nil {
		i.caught, i.stop = signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	}
	return i.caught.Done()
}

// end lets signals have their usual effect.
func (i *interruption) end() {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.stop != nil {
		i.stop()
	}
}

func (i *interruption) current() context.Context {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.caught == nil {
		return context.Background()
	}
	return i.caught
}

// Err implements context.Context.
func (i *interruption) Err() error { return i.current().Err() }

// Deadline implements context.Context. There is none.
func (i *interruption) Deadline() (time.Time, bool) { return time.Time{}, false }

// Value implements context.Context. It is how contexts that are derived from this one learn which signal ended it.
func (i *interruption) Value(key any) any { return i.current().Value(key) }
