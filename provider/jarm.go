package provider

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/voussoir-id/voussoir/protocol"
	"github.com/voussoir-id/voussoir/web"
)

// responseLife is how long a signed authorization response may be believed (JARM
// section 2.1 recommends at most 10 minutes): longer than any code lives.
const responseLife = 5 * time.Minute

// jwtModes are the response modes of JARM (section 2.3) with the one that answers
// them: jwt is the default of the code flow, a query.
var jwtModes = map[protocol.ResponseMode]protocol.ResponseMode{
	"jwt": protocol.ModeQueryJWT, protocol.ModeQueryJWT: protocol.ModeQueryJWT, protocol.ModeFormPostJWT: protocol.ModeFormPostJWT,
}

// signResponse puts an authorization response into a JWT for the client alone and
// returns the one field that carries it (JARM section 2.1). The fields are those
// of the plain modes: code or error, state, iss. An error means that there is
// nothing that may be sent: a plain answer would be a downgrade.
func (c *Codes) signResponse(ctx context.Context, req protocol.AuthRequest, fields []web.Field) ([]web.Field, error) {
	client, ok := c.cfg.Clients().Get(req.ClientID)
	if !ok || client.ResponseSigningAlg == "" {
		return nil, web.Fail(web.Unavailable, fmt.Errorf("answer client %s: it no longer takes signed responses", req.ClientID))
	}
	claims := map[string]any{"aud": string(client.ID), "exp": c.cfg.Now().Add(responseLife).Unix()}
	for _, f := range fields {
		claims[f.Name] = f.Value
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return nil, errors.New("encode authorization response") // the cause could quote the code
	}
	compact, err := c.cfg.Keys.Sign(ctx, client.ResponseSigningAlg, "JWT", payload)
	if err != nil {
		return nil, web.Fail(web.Unavailable, fmt.Errorf("sign answer for client %s: %w", client.ID, err))
	}
	return []web.Field{{Name: "response", Value: compact}}, nil
}
