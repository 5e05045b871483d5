package term

import (
	"context"
	"syscall"
	"testing"
)

// A derived context ends, too, and both say which signal it was.
func TestASignalEndsWhatWaitsForIt(t *testing.T) {
	i := &Interruption{}
	defer i.End()
	if err := i.Err(); err != nil {
		t.Fatalf("before anything happened: %v", err)
	}
	derived, cancel := context.WithCancel(i)
	defer cancel()
	if err := syscall.Kill(syscall.Getpid(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-i.Done()
	<-derived.Done()
	for _, ctx := range []context.Context{i, derived} {
		if ctx.Err() != context.Canceled {
			t.Errorf("the error is %v", ctx.Err())
		}
		if cause := context.Cause(ctx).Error(); cause != "terminated signal received" {
			t.Errorf("the cause is %q", cause)
		}
	}
}
