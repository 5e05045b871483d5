package main

import (
	"context"
	"os/signal"
	"sync"
	"syscall"
	"time"
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
