package sandbox

import "github.com/voussoir-id/voussoir/protocol"

// serviceWords are the sentences of the sample service's pages in one language.
type serviceWords struct {
	Title, By, Banner, Foot, Lead, SignIn, SignInTo, Ways       string
	SignedIn, Received, Who, Another                            string
	Passed, Claim, Value, Nothing                               string
	Arrived, Decoded, Header, Payload, User, Response           string
	Raw, IDToken, AccessToken, Again, Retry, LogOut, Developers string
}

var serviceVocabulary = map[string]serviceWords{
	"en": {
		Title: "Sample services", By: "sign-in by", Banner: "Sandbox: every person here is invented",
		Foot: "This sample service is an ordinary OpenID Connect relying party of", Lead: "Sign in as one of the invented people of the sandbox, and see what a service receives.",
		SignIn: "Sign in with Voussoir", SignInTo: "Sign in to", Ways: "Other ways to ask",
		SignedIn: "You are signed in", Received: "This is everything that the service received:", Who: "Who you are here",
		Another: "Another service sees another subject, so that two services cannot compare notes.",
		Passed:  "What was passed on", Claim: "Claim", Value: "Value", Nothing: "Nothing else was passed on.",
		Arrived: "How it arrived", Decoded: "ID token, decoded", Header: "Header", Payload: "Payload", User: "User information", Response: "Token response",
		Raw: "Raw tokens", IDToken: "ID token", AccessToken: "Access token", Again: "Sign in again", Retry: "Try again", LogOut: "Log out", Developers: "For developers:",
	},
	"fr": {
		Title: "Services de démonstration", By: "connexion par", Banner: "Bac à sable : toutes les personnes sont inventées",
		Foot: "Ce service de démonstration est un client OpenID Connect ordinaire de", Lead: "Connectez-vous comme l’une des personnes inventées du bac à sable, et voyez ce qu’un service reçoit.",
		SignIn: "Se connecter avec Voussoir", SignInTo: "Se connecter :", Ways: "Autres façons de demander",
		SignedIn: "Vous êtes connecté", Received: "Voici tout ce qu’a reçu le service :", Who: "Qui vous êtes ici",
		Another: "Un autre service voit un autre pseudonyme : deux services ne peuvent pas recouper ce qu’ils savent.",
		Passed:  "Ce qui a été transmis", Claim: "Donnée", Value: "Valeur", Nothing: "Rien d’autre n’a été transmis.",
		Arrived: "Comment c’est arrivé", Decoded: "Jeton d’identité, décodé", Header: "En-tête", Payload: "Contenu", User: "Réponse de userinfo", Response: "Réponse du point d’accès des jetons",
		Raw: "Jetons bruts", IDToken: "Jeton d’identité", AccessToken: "Jeton d’accès", Again: "Se connecter de nouveau", Retry: "Réessayer", LogOut: "Se déconnecter", Developers: "Pour les développeurs :",
	},
}

// errorText is what a service could say to a person for each error; "" is for
// every other one.
var errorText = map[protocol.ErrorCode]struct{ title, sentence protocol.Text }{
	"": {
		note("The sign-in did not work", "La connexion n’a pas abouti"),
		note("Voussoir could not sign you in. Nothing about you was passed on.", "Voussoir n’a pas pu vous connecter. Rien sur vous n’a été transmis."),
	},
	protocol.AccessDenied: {
		note("You did not sign in", "Vous ne vous êtes pas connecté"),
		note("You turned back, or chose not to pass anything on. That is fine: nothing about you was passed on.", "Vous êtes revenu, ou vous avez choisi de ne rien transmettre. C’est votre droit : rien sur vous n’a été transmis."),
	},
	protocol.LoginRequired: {
		note("You need to sign in", "Il faut vous connecter"),
		note("You were not signed in yet, and this attempt was not allowed to ask you.", "Vous n’étiez pas encore connecté, et cette tentative n’avait pas le droit de vous le demander."),
	},
	protocol.ConsentRequired: {
		note("You need to be asked", "Il faut vous poser la question"),
		note("Your consent is needed first, and this attempt was not allowed to ask for it.", "Il faut d’abord votre accord, et cette tentative n’avait pas le droit de vous le demander."),
	},
	protocol.InteractionRequired: {
		note("You need to do something first", "Il faut d’abord une action de votre part"),
		note("There is something to choose or to confirm, and this attempt was not allowed to show it.", "Il y a quelque chose à choisir ou à confirmer, et cette tentative n’avait pas le droit de l’afficher."),
	},
	protocol.AccountSelection: {
		note("You need to choose an account", "Il faut choisir un compte"),
		note("There is an account to choose, and this attempt was not allowed to ask you.", "Il y a un compte à choisir, et cette tentative n’avait pas le droit de vous le demander."),
	},
	protocol.UnmetAuthentication: {
		note("A stronger sign-in is needed", "Il faut une connexion plus sûre"),
		note("This service needs a higher level of assurance than the sign-in reached.", "Ce service a besoin d’un niveau de garantie plus élevé que celui de cette connexion."),
	},
	protocol.TemporarilyUnavailable: {
		note("Please try again in a moment", "Réessayez dans un moment"),
		note("Voussoir cannot answer just now. Nothing about you was passed on.", "Voussoir ne peut pas répondre pour le moment. Rien sur vous n’a été transmis."),
	},
	protocol.ServerError: {
		note("Something went wrong at Voussoir", "Une erreur s’est produite chez Voussoir"),
		note("Voussoir could not finish this sign-in. Nothing about you was passed on.", "Voussoir n’a pas pu terminer cette connexion. Rien sur vous n’a été transmis."),
	},
	stateUnknown: {
		note("This sign-in is not known here", "Cette connexion n’est pas connue ici"),
		note("It was started in another browser, it is already finished, or cookies are switched off. Please start again.", "Elle a commencé dans un autre navigateur, elle est déjà terminée, ou les cookies sont désactivés. Recommencez."),
	},
	issuerWrong: {
		note("The answer came from somebody else", "La réponse vient de quelqu’un d’autre"),
		note("The answer does not name the issuer that was asked, so it was thrown away (RFC 9207).", "La réponse ne nomme pas l’émetteur interrogé ; elle a été jetée (RFC 9207)."),
	},
	brokerUnavailable: {
		note("Voussoir does not answer", "Voussoir ne répond pas"),
		note("This service could not reach Voussoir. Please try again in a moment.", "Ce service n’a pas pu joindre Voussoir. Réessayez dans un moment."),
	},
	tokenRefused: {
		note("Voussoir did not accept the code", "Voussoir n’a pas accepté le code"),
		note("The code may be too old or already used. Please sign in again.", "Le code est peut-être trop ancien ou déjà utilisé. Connectez-vous de nouveau."),
	},
	idTokenInvalid: {
		note("The ID token does not hold", "Le jeton d’identité n’est pas valable"),
		note("What was received could not be verified, so it was thrown away.", "Ce qui a été reçu n’a pas pu être vérifié ; cela a été jeté."),
	},
	userInfoInvalid: {
		note("The user information does not hold", "La réponse de userinfo n’est pas valable"),
		note("What was received could not be fetched or does not match the ID token, so it was thrown away.", "Elle n’a pas pu être lue ou ne correspond pas au jeton d’identité ; elle a été jetée."),
	},
}
