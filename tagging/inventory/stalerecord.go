package inventory

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// maxRecord is the greatest size of a record in bytes. It is enough for hundreds of groups.
const maxRecord = 16 << 10

// recordMagic is the first line of each record. The second is the SHA-256 of all that follows, in hexadecimal
// digits: records are not synced to the disk, so a power cut can leave one torn. The rest is JSON.
const recordMagic = "etchtag answer 1\n"

// record is a good answer of an inventory, as it is kept for worse times.
type record struct {
	Inventory string    `json:"inventory"` // StaleOptions.ID
	Host      string    `json:"host"`
	Time      time.Time `json:"time"`
	Groups    []string  `json:"groups,omitempty"`
	Pin       string    `json:"pin,omitempty"`
	PinFrom   string    `json:"pin_from,omitempty"`
}

// recordID names the record of a host: 64 hexadecimal digits.
func recordID(inventory, host string) string {
	sum := sha256.Sum256([]byte(inventory + "\x00" + host))
	return hex.EncodeToString(sum[:])
}

func newRecord(inventory, host string, at time.Time, a Answer) record {
	return record{Inventory: inventory, Host: host, Time: at.UTC(), Groups: a.Groups, Pin: a.Pin, PinFrom: a.PinFrom}
}

// answer returns what is recorded.
func (r record) answer() Answer {
	return Answer{Known: true, Groups: r.Groups, Pin: r.Pin, PinFrom: r.PinFrom}
}

// tells reports whether a is what is recorded.
func (r record) tells(a Answer) bool {
	return a.Known && slices.Equal(r.Groups, a.Groups) && r.Pin == a.Pin && r.PinFrom == a.PinFrom
}

// encode returns the record's text. It fails for an answer that would not come back as it is, or is too long.
func (r record) encode() ([]byte, error) {
	for _, text := range append([]string{r.Inventory, r.Host, r.Pin, r.PinFrom}, r.Groups...) {
		if !utf8.ValidString(text) {
			return nil, fmt.Errorf("%.100q is not UTF-8", text)
		}
	}
	body, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	text := recordMagic + bodySum(string(body)) + string(body)
	if len(text) > maxRecord {
		return nil, fmt.Errorf("it takes %d bytes; %d is the most", len(text), maxRecord)
	}
	return []byte(text), nil
}

// decodeRecord reads a record's text.
func decodeRecord(data []byte) (record, error) {
	rest, ok := strings.CutPrefix(string(data), recordMagic)
	if !ok || len(data) > maxRecord {
		return record{}, errors.New("not a record")
	}
	sum, body, ok := strings.Cut(rest, "\n")
	if !ok || sum+"\n" != bodySum(body) {
		return record{}, errors.New("damaged: its checksum is wrong")
	}
	var r record
	if err := json.Unmarshal([]byte(body), &r); err != nil {
		return record{}, err
	}
	return r, nil
}

// bodySum is the second line of a record.
func bodySum(body string) string {
	sum := sha256.Sum256([]byte(body))
	return hex.EncodeToString(sum[:]) + "\n"
}
