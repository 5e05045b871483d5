package tag

import (
	"math"
	"strconv"
)

// FormatBytes writes a number of bytes for people, in powers of 1024 and with two digits at least: "1.5 MiB",
// "32 MiB", "812 B". That is what github.com/dustin/go-humanize writes; but to load it takes longer than a decision.
func FormatBytes(n uint64) string {
	const prefixes = " KMGTPE"
	value, power := float64(n), 0
	for ; value >= 1024; power++ {
		value /= 1024
	}
	if power == 0 {
		return strconv.FormatUint(n, 10) + " B"
	}
	digits := 0
	if tenths := math.Floor(value*10 + 0.5); tenths < 100 {
		value, digits = tenths/10, 1
	} else {
		value = math.Floor(value + 0.5)
	}
	return strconv.FormatFloat(value, 'f', digits, 64) + " " + prefixes[power:power+1] + "iB"
}

// FormatCount writes a number with commas between the thousands: "10,850".
func FormatCount(n int64) string {
	text := strconv.FormatInt(n, 10)
	first := 0 // digit
	if n < 0 {
		first = 1
	}
	for at := len(text) - 3; at > first; at -= 3 {
		text = text[:at] + "," + text[at:]
	}
	return text
}
