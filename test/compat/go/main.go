// Calls one tool through a gateway with Go's official SDK, and says what came back.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"runtime/debug"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

const sdk = "github.com/modelcontextprotocol/go-sdk"

// bearer adds the token that the gateway asks for.
type bearer struct{ token string }

func (b bearer) RoundTrip(request *http.Request) (*http.Response, error) {
	request = request.Clone(request.Context())
	request.Header.Set("Authorization", "Bearer "+b.token)
	return http.DefaultTransport.RoundTrip(request)
}

func version() string {
	info, _ := debug.ReadBuildInfo()
	for _, module := range info.Deps {
		if module.Path == sdk {
			return module.Version
		}
	}
	return "unknown"
}

func call(url, token, revision, tool, input string) (string, error) {
	ctx := context.Background()
	transport := &mcp.StreamableClientTransport{
		Endpoint:   url,
		HTTPClient: &http.Client{Transport: bearer{token}},
	}
	var options *mcp.ClientSessionOptions
	if revision != "" {
		options = &mcp.ClientSessionOptions{ProtocolVersion: revision}
	}
	client := mcp.NewClient(&mcp.Implementation{Name: "go-sdk", Version: version()}, nil)
	session, err := client.Connect(ctx, transport, options)
	if err != nil {
		return "", err
	}
	defer session.Close()
	if _, err := session.ListTools(ctx, nil); err != nil {
		return "", err
	}
	result, err := session.CallTool(ctx, &mcp.CallToolParams{Name: tool, Arguments: json.RawMessage(input)})
	if err != nil {
		return "", err
	}
	text, _ := result.Content[0].(*mcp.TextContent)
	if text == nil {
		return "", fmt.Errorf("the tool did not answer with text")
	}
	return text.Text, nil
}

// main reads `url revision tool input`, and the token from TOKEN. The revision may be empty: the SDK's own choice.
func main() {
	text, err := call(os.Args[1], os.Getenv("TOKEN"), os.Args[2], os.Args[3], os.Args[4])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	json.NewEncoder(os.Stdout).Encode(map[string]string{"version": version(), "text": text})
}
