package snapshot

import (
	"testing"
	"time"

	"github.com/etch/etchtag/snapshot/staged"
	"github.com/etch/etchtag/tagging/tag"
)

func TestTheRoomForMoreTagsIsThatOfTheNewest(t *testing.T) {
	t.Parallel()
	for _, files := range []staged.Layout{staged.Auto, staged.Hardlink} {
		f := newFixture(t)
		f.Layout = files
		estimate := func() staged.Capacity {
			t.Helper()
			index, err := tag.ReadIndex(f.Base)
			if err != nil {
				t.Fatal(err)
			}
			c, err := staged.EstimateCapacity(f.Base, index.Tags, files)
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		if err := f.Prepare(); err != nil {
			t.Fatal(err)
		}
		if c := estimate(); c.Known || c.TotalBytes == 0 {
			t.Errorf("%s: without tags: %+v", files, c)
		}
		f.take(TakeOptions{})
		alone := estimate()
		f.commit("r2", map[string]string{"defaults.yml": "b: 1\n", "source/etc/ntp.conf": "server b\n"})
		f.now = f.now.Add(time.Hour)
		f.take(TakeOptions{})
		f.now = f.now.Add(time.Hour)
		f.take(TakeOptions{}) // the same tree again
		c := estimate()
		block := c.BlockSize
		big := (uint64(1_600_000) + block - 1) / block * block
		// Directories: a, a.b, odd, source, source/etc, source/etc/motd. Entries: 11, of which two are links.
		want := map[staged.Layout]staged.Capacity{
			staged.Auto:     {Bytes: 10*block + big + 6*block, Inodes: 11 + 6},
			staged.Hardlink: {Bytes: 2*block + 2*block + block + 6*block, Inodes: 2 + 2 + 1 + 6}, // files, links, an empty directory
		}[files]
		if c.Bytes != want.Bytes || c.Inodes != want.Inodes || !c.Known || c.Tags == 0 {
			t.Errorf("%s: got %+v, want %+v", files, c, want)
		}
		if files == staged.Hardlink && alone.Inodes != c.Inodes-2 {
			t.Errorf("a tag that changes nothing takes %d inodes", alone.Inodes)
		}
	}
}
