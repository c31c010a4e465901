package events

import (
	"fmt"
	"strings"
)

const hexDigits = "0123456789ABCDEF"

// encodeToken makes one subject token of any name. Letters, digits, "-" and "_" stand for themselves, every other byte
// becomes "%" and two upper-case hexadecimal digits, and the empty name is a lone "%". So a token never holds what NATS
// gives a meaning to (".", "*", ">", blanks), ordinary names stay as they are, and decodeURIComponent or its like in any
// language undoes it.
func encodeToken(name string) string {
	if name == "" {
		return "%"
	}
	var b strings.Builder
	for i := range len(name) {
		if c := name[i]; plain(c) {
			b.WriteByte(c)
		} else {
			b.WriteString("%" + hexDigits[c>>4:c>>4+1] + hexDigits[c&15:c&15+1])
		}
	}
	return b.String()
}

// decodeToken undoes encodeToken. One name has one token: any other spelling is an error.
func decodeToken(token string) (string, error) {
	if token == "%" {
		return "", nil
	}
	var b strings.Builder
	for i := 0; i < len(token); i++ {
		if token[i] != '%' {
			b.WriteByte(token[i])
			continue
		}
		if i+2 >= len(token) {
			return "", fmt.Errorf("token %q ends within a %% escape", token)
		}
		hi, lo := strings.IndexByte(hexDigits, token[i+1]), strings.IndexByte(hexDigits, token[i+2])
		if hi < 0 || lo < 0 {
			return "", fmt.Errorf("token %q: %q is not %% and two upper-case hexadecimal digits", token, token[i:i+3])
		}
		b.WriteByte(byte(hi<<4 | lo))
		i += 2
	}
	if name := b.String(); token != "" && encodeToken(name) == token {
		return name, nil
	}
	return "", fmt.Errorf("token %q is not how a name is written: letters, digits, - and _ as they are, other bytes as %% and two digits", token)
}

func plain(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_'
}
