package term

import (
	"context"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

// Interruption is a context that SIGINT and SIGTERM end. It catches them from the moment on at which somebody
// asks for its end, so as to wait for it; before that they end the process, as they would any. To catch signals takes
// threads and their handshakes, which is more than a whole decision takes; and whoever only reads files has nothing to
// bring to an end.
type Interruption struct {
	mu     sync.Mutex
	caught context.Context // nil until signals are caught
	stop   func()
}

var _ context.Context = (*Interruption)(nil)

// Done implements context.Context.
func (i *Interruption) Done() <-chan struct{} {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.caught == nil {
		i.caught, i.stop = signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	}
	return i.caught.Done()
}

// End lets signals have their usual effect.
func (i *Interruption) End() {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.stop != nil {
		i.stop()
	}
}

func (i *Interruption) current() context.Context {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.caught == nil {
		return context.Background()
	}
	return i.caught
}

// Err implements context.Context.
func (i *Interruption) Err() error { return i.current().Err() }

// Deadline implements context.Context. There is none.
func (i *Interruption) Deadline() (time.Time, bool) { return time.Time{}, false }

// Value implements context.Context. It is how contexts that are derived from this one learn which signal ended it.
func (i *Interruption) Value(key any) any { return i.current().Value(key) }
