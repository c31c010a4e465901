package supervise

import (
	"io"
	"os"
	"strings"
)

// tailBytes is as much of a log's end as is looked at.
const tailBytes = 32 << 10

// Tail returns the last n lines of a file, fewer if there are fewer or they are very long.
func Tail(path string, n int) ([]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	end, err := io.ReadAll(io.NewSectionReader(f, max(0, info.Size()-tailBytes), tailBytes))
	if err != nil {
		return nil, err
	}
	text := strings.TrimRight(string(end), "\n")
	if text == "" {
		return nil, nil
	}
	lines := strings.Split(text, "\n")
	return lines[max(0, len(lines)-n):], nil
}
