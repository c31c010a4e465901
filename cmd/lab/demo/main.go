// Command demo tells the project's main job on real parts, with elapsed times. It runs in a lab, through `lab run`, or
// against the cluster of KUBECONFIG, NATS_URL, DATABASE_URL and REPOSITORY_URL.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/schemawave/schemawave/cmd/lab/story"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	os.Exit(demo(ctx))
}

func demo(ctx context.Context) int {
	narrator := story.NewNarrator(os.Stdout)
	if err := tell(ctx, narrator); err != nil {
		fmt.Printf("\n✗ the story ended early, after %s: %v\n", narrator.Elapsed().Round(time.Second), err)
		return 1
	}
	fmt.Printf("\n✓ the whole story, in %s\n", narrator.Elapsed().Round(time.Second))
	return 0
}

func tell(ctx context.Context, narrator *story.Narrator) error {
	checkout, err := os.Getwd()
	if err != nil {
		return err
	}
	env, err := story.FromEnv(os.Getenv, checkout)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "schemawave-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	s, err := story.Begin(ctx, env, narrator, dir)
	if err != nil {
		return err
	}
	defer s.Close()
	return s.Tell(ctx)
}
