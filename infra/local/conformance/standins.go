package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// standins are the servers that the tests run against.
type standins struct {
	bus     string // host:port, by the name localhost
	admin   string
	cosmos  int
	compute int
	ca      string
	token   string // address of the token source
	process *exec.Cmd
	input   io.Closer
	tokens  *http.Server
}

// The ports that the tests of azcosmos have fixed.
const (
	cosmosPort  = 8081
	computePort = 8903
)

func startStandins(ctx context.Context, dir string) (*standins, error) {
	if l, err := net.Listen("tcp", "127.0.0.1:5671"); err == nil {
		l.Close()
	} else {
		return nil, errors.New("port 5671 is in use; one test of azservicebus needs it closed")
	}
	var s *standins
	var err error
	for range 3 { // another process may take a port that was free
		if s, err = tryStandins(ctx, dir); err == nil {
			return s, nil
		}
	}
	return nil, err
}

func tryStandins(ctx context.Context, dir string) (*standins, error) {
	s := &standins{ca: filepath.Join(dir, "ca.pem"), cosmos: cosmosPort, compute: computePort}
	ports, err := freePorts(4)
	if err != nil {
		return nil, err
	}
	if !free(cosmosPort) || !free(computePort) {
		fmt.Printf("ports %d and %d are not both free: the tests of azcosmos are compiled for %d and %d\n", cosmosPort, computePort, ports[2], ports[3])
		s.cosmos, s.compute = ports[2], ports[3]
	}
	s.bus, s.admin = "localhost:"+strconv.Itoa(ports[0]), "127.0.0.1:"+strconv.Itoa(ports[1])
	if err := s.startTokens(); err != nil {
		return nil, err
	}
	if err := s.start(ctx, dir); err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

// root is the folder of the main module.
func root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "..", "..", ".."), nil
}

func (s *standins) start(ctx context.Context, dir string) error {
	top, err := root()
	if err != nil {
		return err
	}
	program := filepath.Join(dir, "standin")
	build := exec.CommandContext(ctx, "go", "build", "-o", program, filepath.Join("infra", "local", "conformance", "standin", "main.go"))
	build.Dir = top
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build the stand-ins: %w\n%s", err, out)
	}
	local := func(port int) string { return "127.0.0.1:" + strconv.Itoa(port) }
	_, port, err := net.SplitHostPort(s.bus)
	if err != nil {
		return err
	}
	s.process = exec.Command(program, "-servicebus", "127.0.0.1:"+port, "-servicebus-admin", s.admin, "-cosmos", local(s.cosmos),
		"-cosmos-compute", local(s.compute), "-data", filepath.Join(dir, "data"), "-ca", s.ca)
	s.process.Stderr = os.Stderr
	in, err := s.process.StdinPipe()
	if err != nil {
		return err
	}
	s.input = in
	out, err := s.process.StdoutPipe()
	if err != nil {
		return err
	}
	if err := s.process.Start(); err != nil {
		return err
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || strings.TrimSpace(line) != "ready" {
		return fmt.Errorf("the stand-ins did not start: %q, %v", line, err)
	}
	return nil
}

// startTokens serves tokens in the shape of the identity endpoint of App Service.
func (s *standins) startTokens() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s.token = "http://" + l.Addr().String() + "/token"
	s.tokens = &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"access_token":"x","expires_on":"%d","resource":%q,"token_type":"Bearer"}`, time.Now().Add(time.Hour).Unix(), r.URL.Query().Get("resource"))
	})}
	go s.tokens.Serve(l) //nolint:errcheck // ends at stop
	return nil
}

func (s *standins) stop() {
	if s.input != nil {
		s.input.Close()
	}
	if s.process != nil && s.process.Process != nil {
		ended := make(chan struct{})
		go func() { s.process.Wait(); close(ended) }() //nolint:errcheck // its end is all that matters
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			s.process.Process.Kill() //nolint:errcheck // as above
			<-ended
		}
	}
	if s.tokens != nil {
		s.tokens.Close()
	}
}

// busEnvironment is what the tests of azservicebus read.
func (s *standins) busEnvironment(injector string) []string {
	key := func(name string) string {
		return "Endpoint=sb://" + s.bus + ";SharedAccessKeyName=" + name + ";SharedAccessKey=SAS_KEY_VALUE"
	}
	return []string{
		"AZURE_RECORD_MODE=live", "SSL_CERT_FILE=" + s.ca, "IDENTITY_ENDPOINT=" + s.token, "IDENTITY_HEADER=x",
		"AZURE_TOKEN_CREDENTIALS=ManagedIdentityCredential", "HTTPS_PROXY=http://127.0.0.1:9",
		"SERVICEBUS_ENDPOINT=" + s.bus, "SERVICEBUS_ENDPOINT_PREMIUM=" + s.bus,
		"SERVICEBUS_CONNECTION_STRING=" + key("RootManageSharedAccessKey"),
		"SERVICEBUS_CONNECTION_STRING_PREMIUM=" + key("RootManageSharedAccessKey"),
		"SERVICEBUS_CONNECTION_STRING_NO_MANAGE=" + key("NoManage"),
		"SERVICEBUS_CONNECTION_STRING_SEND_ONLY=" + key("SendOnly") + ";UseDevelopmentEmulator=true",
		"SERVICEBUS_CONNECTION_STRING_LISTEN_ONLY=" + key("ListenOnly") + ";UseDevelopmentEmulator=true",
		"AMQP_FAULT_INJECTOR_PATH=" + injector,
	}
}

// cosmosEnvironment is what the tests of azcosmos read.
func (s *standins) cosmosEnvironment() []string {
	return []string{"EMULATOR=1", "SSL_CERT_FILE=" + s.ca}
}

// fault turns a fault switch of Service Bus on, and returns how to turn it off.
func (s *standins) fault(body string) (off func() error, err error) {
	ask := func(method, body string) error {
		r, err := http.NewRequest(method, "http://"+s.admin+"/$faults", strings.NewReader(body))
		if err != nil {
			return err
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		if answer.StatusCode >= 300 {
			return fmt.Errorf("fault switch: %s", answer.Status)
		}
		return nil
	}
	return func() error { return ask(http.MethodDelete, "") }, ask(http.MethodPost, body)
}

func free(port int) bool {
	l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port))
	if err != nil {
		return false
	}
	return l.Close() == nil
}

func freePorts(n int) ([]int, error) {
	var ports []int
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}
