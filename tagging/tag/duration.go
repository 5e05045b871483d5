package tag

import (
	"strings"
	"time"
)

// FormatDuration writes a duration without the zero minutes and seconds that Go adds to hours: "72h", "1h30m".
func FormatDuration(d time.Duration) string {
	if d == 0 {
		return "0h"
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
