package tagging_test

import (
	"sync"
	"testing"
	"time"

	"github.com/etch/etchtag/tagging"
)

func TestAMomentDecidesOnceForEachRing(t *testing.T) {
	t.Parallel()
	m := hourly("0800 0900 1000", "0900 good").resolver(t).At(at("10:30"))
	rings := []tagging.Ring{{Name: "a"}, {Name: "b"}, {Name: "a", Delay: 2 * time.Hour}, {Name: "a", RequireGood: true}}
	got := make([][2]*tagging.Decision, len(rings))
	var asking sync.WaitGroup
	for i := range 2 * len(rings) {
		asking.Go(func() { got[i/2][i%2] = m.RingTag(rings[i/2]) })
	}
	asking.Wait()
	for i, want := range []string{"10:00", "10:00", "08:00", "09:00"} {
		d := got[i][0]
		if d != got[i][1] {
			t.Errorf("ring %+v: decided twice", rings[i])
		}
		if d.Ring != rings[i].Name || d.Tag() != name(want) || !d.At.Equal(m.Now()) {
			t.Errorf("ring %+v: %+v", rings[i], d)
		}
	}
}
