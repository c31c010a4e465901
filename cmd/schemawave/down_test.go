package main

import (
	"os"
	"testing"
)

// TestNobodyIsAskedAtTheNullDevice: it is a character device, as a terminal is, and the standard input of Pods, of cron and of much CI.
func TestNobodyIsAskedAtTheNullDevice(t *testing.T) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if isTerminal(null) {
		t.Error("the null device is taken for a terminal")
	}
}
