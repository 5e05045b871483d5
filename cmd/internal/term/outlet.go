package term

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

const (
	// MaxUnread is how much of our messages may wait for a reader, in bytes.
	MaxUnread = 1 << 20

	// maxHoldUp is how long messages may hold up the work, all in all, and the end of the process.
	maxHoldUp = time.Second
)

// Outlet passes on what is written to it, and hardly holds up those who write if its reader is slow, stands still or is
// gone: journald, a pipe, a terminal after Ctrl-S. As long as nobody has to wait, what is written has been passed on when
// Write returns, so that two outlets to one terminal keep their order.
type Outlet struct {
	to   io.Writer
	room int                              // bytes that may wait; what there is no room for is lost
	tell func(lost int, why error) []byte // says that messages were lost, when somebody reads again; nil: nobody says so

	mu     sync.Mutex
	queue  []message
	unread int           // bytes of the queue, and of what is being passed on
	idle   chan struct{} // closed when all is passed on; nil while nothing is to do
	held   time.Duration // for so long were those held up who wrote
	lost   int           // messages of which nobody has been told
	why    error         // that they could not be passed on; nil: there was no room
}

// message is what was written at once.
type message struct {
	text  []byte
	count int // 1, or for how many lost ones it stands
}

// NewOutlet has an outlet pass on to a writer. So many bytes may wait for its reader.
func NewOutlet(to io.Writer, room int) *Outlet { return &Outlet{to: to, room: room} }

// Write implements io.Writer. It does not fail.
func (o *Outlet) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.tellLost()
	o.put(message{bytes.Clone(p), 1})
	if o.idle != nil && o.held < maxHoldUp {
		start := time.Now()
		ctx, cancel := context.WithTimeout(context.Background(), maxHoldUp-o.held)
		defer cancel()
		o.await(ctx)
		o.held += time.Since(start)
	}
	return len(p), nil
}

// End waits until all is passed on or ctx is done, and returns why it could not be, if it could not.
func (o *Outlet) End(ctx context.Context) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.await(ctx)
	why := o.why
	o.tellLost()
	o.await(ctx)
	return why
}

// EndSoon ends messages: it waits for their readers, but not for long.
func (o *Outlet) EndSoon() {
	ctx, cancel := context.WithTimeout(context.Background(), maxHoldUp)
	defer cancel()
	_ = o.End(ctx) // nobody can be told
}

// await waits, with the lock released meanwhile, until all is passed on or ctx is done.
func (o *Outlet) await(ctx context.Context) {
	idle := o.idle
	if idle == nil {
		return
	}
	o.mu.Unlock()
	defer o.mu.Lock()
	select {
	case <-idle:
	case <-ctx.Done():
	}
}

// tellLost puts a message about the lost ones into the queue.
func (o *Outlet) tellLost() {
	if o.lost == 0 || o.tell == nil {
		return
	}
	notice := message{o.tell(o.lost, o.why), o.lost}
	o.lost, o.why = 0, nil
	o.put(notice)
}

// put puts a message into the queue, if there is room, and sees to it that somebody passes it on.
func (o *Outlet) put(m message) {
	if o.unread+len(m.text) > o.room {
		o.lost += m.count
		return
	}
	o.queue = append(o.queue, m)
	o.unread += len(m.text)
	if o.idle == nil {
		o.idle = make(chan struct{})
		go o.passOn()
	}
}

// passOn works until the queue is empty.
func (o *Outlet) passOn() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.queue) > 0 {
		m := o.queue[0]
		o.queue = o.queue[1:]
		o.mu.Unlock()
		_, err := o.to.Write(m.text)
		o.mu.Lock()
		o.unread -= len(m.text)
		if err != nil {
			o.lost, o.why = o.lost+m.count, err
		}
	}
	close(o.idle)
	o.idle = nil
}

// OutliveReaders keeps this process alive when the reader of its standard output or error is gone: writing to it fails
// then. Otherwise Go ends it, also if SIGPIPE was ignored when it started. (To ignore the signal would do as well, but
// the programs that we start would ignore it, too.)
var OutliveReaders = sync.OnceFunc(func() { signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) })
