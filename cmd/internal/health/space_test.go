package health

import (
	"strings"
	"testing"

	"github.com/etch/etchtag/cmd/internal/config"
	"github.com/etch/etchtag/snapshot/staged"
)

func TestTheRoomIsJudgedByWhatIsToCome(t *testing.T) {
	const gib = 1 << 30
	t.Parallel()
	config := config.Default()
	x := &Facts{Config: &config}
	space := func(free, freeInodes uint64) staged.Space {
		return staged.Space{FreeBytes: free, TotalBytes: 100 * gib, FreeInodes: freeInodes, TotalInodes: 1000}
	}
	for _, test := range []struct {
		name     string
		c        staged.Capacity
		tags     int
		level    Level
		says, do string
	}{
		{"plenty", staged.Capacity{Space: space(50*gib, 900), Known: true, Tags: 500, Bytes: gib}, 10, OK, "50 GiB of 100 GiB free, room for about 500 more tags, each 1.0 GiB; inodes: 900 of 1,000 free", ""},
		{"without a manifest", staged.Capacity{Space: space(50*gib, 900)}, 0, OK, "50 GiB of 100 GiB free", ""},
		{"not for another", staged.Capacity{Space: space(50*gib, 900), Known: true, Bytes: gib}, 80, Problem, "room for about 0 more tags", "refused"},
		{"for two", staged.Capacity{Space: space(50*gib, 900), Known: true, Tags: 2}, 80, Warning, "", "make room"},
		{"full before pruning begins", staged.Capacity{Space: space(50*gib, 900), Known: true, Tags: 30}, 10, Warning, "64 are to come", "full in about 1d6h"},
		{"as many as are to come", staged.Capacity{Space: space(50*gib, 900), Known: true, Tags: 30}, 44, OK, "", ""},
		{"blocks are shared", staged.Capacity{Space: space(50*gib, 900), Known: true, Tags: 30, Shared: true}, 10, OK, "at least 30", ""},
		{"scarce", staged.Capacity{Space: space(4*gib, 900), Known: true, Tags: 500}, 80, Warning, "4.0 GiB", "make room"},
		{"few inodes", staged.Capacity{Space: space(50*gib, 49), Known: true, Tags: 500}, 80, Warning, "49 of 1,000", "make room"},
	} {
		findings := x.judgeSpace(test.c, test.tags)
		worst := findings[len(findings)-1]
		if worst.Level != test.level || !strings.Contains(worst.Says, test.says) || !strings.Contains(worst.Do, test.do) || (test.do == "") != (worst.Do == "") {
			t.Errorf("%s: %+v", test.name, findings)
		}
	}
}
