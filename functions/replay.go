package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"throughline/functions/api"
	"throughline/shared/event"
)

// replay asks a running app to send again what it put aside and what Service Bus gave up:
// functions replay [-url https://app.example] [-token file] [-dry]. What cannot be understood stays parked.
func replay(args []string, out io.Writer) error {
	f := flag.NewFlagSet("replay", flag.ContinueOnError)
	dry := f.Bool("dry", false, "only list what would be sent again")
	a, err := newAsker(f, args)
	if err != nil {
		return err
	}
	if f.NArg() > 0 {
		return fmt.Errorf("replay: %q is not a flag; flags begin with -", f.Arg(0))
	}
	waiting, err := a.letters("/api/parked")
	if err != nil {
		return err
	}
	dead, err := a.letters("/api/deadletters")
	if err != nil {
		return err
	}
	for _, l := range append(waiting, dead...) {
		fmt.Fprintf(out, "%-10s %s %s\n", l.Queue, l.ID, l.Reason)
	}
	if *dry {
		return nil
	}
	return a.again(waiting, out)
}

// asker asks a running app.
type asker struct {
	client      *http.Client
	base, token string
}

// newAsker reads the flags of a command, with those that say whom to ask.
func newAsker(f *flag.FlagSet, args []string) (asker, error) {
	a := asker{client: &http.Client{Timeout: 5 * time.Minute}}
	f.StringVar(&a.base, "url", planURL, "the app to ask")
	tokenFile := f.String("token", "", "file with the bearer token that the app wants")
	if err := f.Parse(args); err != nil || *tokenFile == "" {
		return a, err
	}
	token, err := os.ReadFile(*tokenFile)
	if err != nil {
		return a, fmt.Errorf("%s: %w", f.Name(), err)
	}
	a.token = strings.TrimSpace(string(token))
	return a, nil
}

// again sends the parked letters again, one by one, and then the dead ones of every queue.
func (a asker) again(waiting []api.Letter, out io.Writer) error {
	sent, stay := 0, 0
	for _, l := range waiting {
		if err := a.ask(http.MethodPost, "/api/parked/"+url.PathEscape(l.ID)+"/replay", nil); err != nil {
			fmt.Fprintf(out, "%s stays: %v\n", l.ID, err)
			stay++
			continue
		}
		sent++
	}
	fmt.Fprintf(out, "parked: %d sent again, %d stay\n", sent, stay)
	for _, r := range event.Routes {
		var answer struct{ Replayed string }
		if err := a.ask(http.MethodPost, "/api/deadletters/"+r.HeardBy+"/replay", &answer); err != nil {
			return err
		}
		fmt.Fprintf(out, "dead letters of %s: %s sent again\n", r.HeardBy, answer.Replayed)
	}
	if stay > 0 {
		return fmt.Errorf("replay: %d letters stay parked; the lines above say why", stay)
	}
	return nil
}

// letters reads every page of a list.
func (a asker) letters(path string) (all []api.Letter, err error) {
	for cursor := ""; ; {
		var page struct {
			Items []api.Letter
			Next  string
		}
		if err := a.ask(http.MethodGet, path+"?cursor="+url.QueryEscape(cursor), &page); err != nil {
			return nil, err
		}
		all = append(all, page.Items...)
		if cursor = page.Next; cursor == "" {
			return all, nil
		}
	}
}

// ask asks the app, and reads its answer into v, when v is not nil.
func (a asker) ask(method, path string, v any) error {
	req, err := http.NewRequest(method, strings.TrimRight(a.base, "/")+path, strings.NewReader(""))
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	req.Header.Set("Content-Type", "application/json")
	if a.token != "" {
		req.Header.Set("Authorization", "Bearer "+a.token)
	}
	resp, err := a.client.Do(req)
	if err != nil {
		return fmt.Errorf("%w; is the app running (make run)?", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s", detail(resp))
	}
	if v == nil {
		return nil
	}
	if err := json.NewDecoder(resp.Body).Decode(v); err != nil {
		return fmt.Errorf("%s: the answer cannot be read: %w", path, err)
	}
	return nil
}

// detail is what a refusal says.
func detail(resp *http.Response) string {
	var problem struct {
		Detail string `json:"detail"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&problem); err != nil || problem.Detail == "" {
		return "the app answered " + resp.Status
	}
	return problem.Detail
}
