package supervise

import (
	"errors"
	"io"
	"os"
	"sync"
	"time"
)

// drainTime is how long output is waited for that must be in the pipe already, unless somebody holds it open who is not
// the program's child.
const drainTime = time.Second

// streams are a program's standard input, output and error, and what goes through them.
type streams struct {
	theirs   [3]*os.File
	ours     []*os.File
	answered chan struct{} // closed when nobody has standard output open any more
	failed   chan struct{} // closed when output could not be taken, with err

	copying sync.WaitGroup
	once    sync.Once
	err     error
}

// openStreams makes the pipes and begins to read and to write.
func (c Command) openStreams() (*streams, error) {
	s := &streams{answered: make(chan struct{}), failed: make(chan struct{})}
	err := errors.Join(s.input(c.Stdin), s.output(1, c.Stdout, func() { close(s.answered) }))
	if err == nil && c.Stderr != nil && c.Stderr == c.Stdout {
		s.theirs[2] = s.theirs[1]
	} else if err == nil {
		err = s.output(2, c.Stderr, func() {})
	}
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// input has the program read from r.
func (s *streams) input(r io.Reader) (err error) {
	if r == nil {
		s.theirs[0], err = os.Open(os.DevNull)
		return err
	}
	theirs, ours, err := os.Pipe()
	if err != nil {
		return err
	}
	s.theirs[0], s.ours = theirs, append(s.ours, ours)
	s.copying.Go(func() {
		_, _ = io.Copy(ours, r) // nobody has to read all of it
		ours.Close()
	})
	return nil
}

// output has w get what the program writes to a descriptor, and calls done after the last of it.
func (s *streams) output(fd int, w io.Writer, done func()) (err error) {
	if w == nil {
		done()
		s.theirs[fd], err = os.OpenFile(os.DevNull, os.O_WRONLY, 0)
		return err
	}
	ours, theirs, err := os.Pipe()
	if err != nil {
		done()
		return err
	}
	s.theirs[fd], s.ours = theirs, append(s.ours, ours)
	s.copying.Go(func() {
		defer done()
		if _, err := io.Copy(w, ours); err != nil && !errors.Is(err, os.ErrClosed) {
			s.once.Do(func() {
				s.err = err
				close(s.failed)
			})
		}
	})
	return nil
}

// failure is why output could not be taken.
func (s *streams) failure() error {
	select {
	case <-s.failed:
		return s.err
	default:
		return nil
	}
}

func (s *streams) closeTheirs() {
	for _, f := range s.theirs {
		f.Close() // a second time is harmless
	}
}

// drain waits for the rest of the output after the end of all that could write it.
func (s *streams) drain() {
	deadline := time.AfterFunc(drainTime, s.closeOurs)
	s.copying.Wait()
	deadline.Stop()
}

func (s *streams) closeOurs() {
	for _, f := range s.ours {
		f.Close()
	}
}

// close ends it all.
func (s *streams) close() {
	s.closeTheirs()
	s.closeOurs()
	s.copying.Wait()
}
