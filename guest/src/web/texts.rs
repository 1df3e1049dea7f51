//! The words on the pages. Each language has all of them, or the build fails.

use crate::domain::delegations::identity_scope::IdentityScope;

/// The words of one language.
#[derive(Debug)]
#[allow(missing_docs)]
pub struct Texts {
    /// The tag of the language (RFC 5646).
    pub lang: &'static str,
    pub sign_in: &'static str,
    pub sign_in_for: &'static str,
    pub username: &'static str,
    pub password: &'static str,
    pub wrong_credentials: &'static str,
    pub too_many: &'static str,
    pub unavailable: &'static str,
    pub second_factor: &'static str,
    pub code: &'static str,
    pub code_hint: &'static str,
    pub wrong_code: &'static str,
    pub go_on: &'static str,
    pub start_again: &'static str,
    pub consent: &'static str,
    pub wants_access: &'static str,
    pub unverified: &'static str,
    pub unverified_document: &'static str,
    pub to_service: &'static str,
    pub as_account: &'static str,
    pub answer_goes_to: &'static str,
    pub this_computer: &'static str,
    pub this_computer_warning: &'static str,
    pub may_act: &'static str,
    pub it_may: &'static str,
    pub know_you: &'static str,
    pub see_username: &'static str,
    pub see_email: &'static str,
    pub until_revoked: &'static str,
    pub apps: &'static str,
    pub apps_of: &'static str,
    pub no_apps: &'static str,
    pub more_apps: &'static str,
    pub since: &'static str,
    pub last_used: &'static str,
    pub revoke: &'static str,
    pub revoke_hint: &'static str,
    pub back: &'static str,
    pub deny: &'static str,
    pub allow: &'static str,
    pub another_account: &'static str,
    pub signed_in: &'static str,
    pub sign_out: &'static str,
    pub signed_out: &'static str,
    pub signed_out_text: &'static str,
    pub error: &'static str,
    pub malformed_request: &'static str,
    pub unknown_client: &'static str,
    pub unusable_document: &'static str,
    pub unknown_redirect_uri: &'static str,
    pub form_expired: &'static str,
    pub already_decided: &'static str,
    pub denied: &'static str,
    pub not_sent_back: &'static str,
    pub back_to: &'static str,
    pub sign_up: &'static str,
    pub has_account: &'static str,
    pub new_username: &'static str,
    pub bad_username: &'static str,
    pub username_taken: &'static str,
    pub email: &'static str,
    pub email_hint: &'static str,
    pub bad_email: &'static str,
    pub at_least: &'static str,
    pub characters: &'static str,
    pub bad_password: &'static str,
    pub forgot_password: &'static str,
    pub reset_password: &'static str,
    pub reset_hint: &'static str,
    pub send_code: &'static str,
    pub send_another_code: &'static str,
    pub new_password: &'static str,
    pub choose_password: &'static str,
    pub enter_code: &'static str,
    pub ends_all: &'static str,
    pub change_password: &'static str,
    pub wrong_mailed_code: &'static str,
    pub password_changed: &'static str,
    pub password_changed_text: &'static str,
    pub verify_email: &'static str,
    pub verify: &'static str,
    pub verify_later: &'static str,
    pub verify_by_code: &'static str,
    pub email_taken: &'static str,
    pub email_verified: &'static str,
    pub email_verified_text: &'static str,
    pub agent_asks: &'static str,
    pub agent_warning: &'static str,
    pub agent_knows_you: &'static str,
    pub agent_acts: &'static str,
    pub agent_allowed: &'static str,
    pub signed_in_for_agent: &'static str,
    pub back_to_agent: &'static str,
    pub link_is_over: &'static str,
    pub approval_asks: &'static str,
    pub approval_warning: &'static str,
    pub approval_operation: &'static str,
    pub approval_once: &'static str,
    pub approval_allowed: &'static str,
    pub approval_of_another: &'static str,
}

impl Texts {
    /// Returns what a client learns by a scope about the user.
    pub fn of_identity(&self, scope: IdentityScope) -> &'static str {
        match scope {
            IdentityScope::Openid => self.know_you,
            IdentityScope::Profile => self.see_username,
            IdentityScope::Email => self.see_email,
        }
    }
}

/// English.
pub static ENGLISH: Texts = Texts {
    lang: "en",
    sign_in: "Sign in",
    sign_in_for: "to continue to",
    username: "User name or email address",
    password: "Password",
    wrong_credentials: "The user name or the password is wrong. Check both, and try again.",
    too_many: "There were too many attempts. Try again later.",
    unavailable: "This service cannot answer at the moment. Try again in a minute.",
    second_factor: "Confirm that it is you",
    code: "Code",
    code_hint: "The six digits that your authenticator app shows, or one of your recovery codes.",
    wrong_code: "This code does not work. Try the next one that the app shows, or start again.",
    go_on: "Continue",
    start_again: "Start again",
    consent: "Allow access",
    wants_access: "asks for access",
    unverified: "This program registered itself here, unverified: nobody has checked its name.",
    unverified_document: "Nobody here has checked this name. It was chosen by the website",
    to_service: "Access to",
    as_account: "As",
    answer_goes_to: "The answer goes to",
    this_computer: "a program on this computer",
    this_computer_warning: "Any program on this computer can give itself this name. Allow \
        access only if you have just started the program yourself.",
    may_act: "It may use this service on your behalf.",
    it_may: "It may",
    know_you: "Recognise you, and see when and how you signed in",
    see_username: "See your user name",
    see_email: "See your email address",
    until_revoked: "This access ends after some time, and sooner if it is not used. You can \
        take it away at any time under",
    apps: "Connected apps",
    apps_of: "These apps have access on behalf of",
    no_apps: "No app has access on behalf of",
    more_apps: "More apps",
    since: "Since",
    last_used: "Last used",
    revoke: "Take access away",
    revoke_hint: "An app without access has to ask you again. It can take a while until every \
        service has noticed.",
    back: "Back",
    deny: "Deny",
    allow: "Allow",
    another_account: "Use another account",
    signed_in: "You are signed in",
    sign_out: "Sign out",
    signed_out: "You are signed out",
    signed_out_text: "You can close this window.",
    error: "This did not work",
    malformed_request: "The program that sent you here has made a mistake in its request. Go \
        back to it, and try again; if that does not help, tell its maker.",
    unknown_client: "The program that sent you here is not known here, or no longer. Go back to \
        it, and connect again.",
    unusable_document: "The program that sent you here describes itself in a document on the web, \
        which this service could not get, or not use. Try again in a minute; if that does not \
        help, tell its maker.",
    unknown_redirect_uri: "The program that sent you here wants the answer at an address that is \
        not registered for it. Nothing was sent there. If you do not know the program, close \
        this window.",
    form_expired: "This page was open for too long, or somebody else has signed in meanwhile. \
        Start again where you came from.",
    already_decided: "This request has been answered already. Go back to the program that sent \
        you here.",
    denied: "Access was not allowed",
    not_sent_back: "Nobody here has checked the program that sent you, so this service does not \
        send you back automatically. If you trust the program, follow the link. Otherwise, \
        close this window.",
    back_to: "Go back to",
    sign_up: "Create an account",
    has_account: "I have an account",
    new_username: "User name",
    bad_username: "Use letters, digits and marks such as \".\" or \"-\", without spaces.",
    username_taken: "This name is taken. Choose another one.",
    email: "Email address (optional)",
    email_hint: "You need it to set a new password if you forget yours.",
    bad_email: "This is not an email address.",
    at_least: "At least",
    characters: "characters. A sentence is easy to remember.",
    bad_password: "Choose a longer password, or one that is harder to guess: not a common one, \
        and not made of your name or the name of this service.",
    forgot_password: "Forgot your password?",
    reset_password: "Reset your password",
    reset_hint: "If there is such an account and its email address is verified, a message with \
        a code is sent there.",
    send_code: "Send a code",
    send_another_code: "Send another code",
    new_password: "New password",
    choose_password: "Choose a new password",
    enter_code: "Enter the code from the message, or open the link in it. It can take a minute \
        to arrive.",
    ends_all: "A new password signs you out everywhere, and connected apps lose their access.",
    change_password: "Change password",
    wrong_mailed_code: "This code does not work, or no longer. Use the one from the newest \
        message.",
    password_changed: "Your password is changed",
    password_changed_text: "You can sign in with it now.",
    verify_email: "Verify your email address",
    verify: "Verify",
    verify_later: "Do this later",
    verify_by_code: "A code will be sent to the email address of your account.",
    email_taken: "This address is that of another account.",
    email_verified: "Your email address is verified",
    email_verified_text: "If you forget your password, you can reset it with this address.",
    agent_asks: "asks you to sign in",
    agent_warning: "Nobody here has checked this name. Go on only if you have just asked an \
        agent for this, and it shows you the same code; never if somebody sent you the link:",
    agent_knows_you: "The agent can then ask this service who you are and what you may do. It \
        gets no password, and cannot act for you.",
    agent_acts: "The agent can then do everything here that you can, except what requires a \
        new sign-in. It gets no password.",
    agent_allowed: "You have signed in for the agent",
    signed_in_for_agent: "You have signed in for this agent. Nobody has checked its name.",
    back_to_agent: "You can close this window, and go back to the agent.",
    link_is_over: "This link has been used, or is more than ten minutes old. Ask the agent for \
        a new one.",
    approval_asks: "asks for your approval",
    approval_warning: "Allow it only if you have just asked the agent for exactly this.",
    approval_operation: "Operation",
    approval_once: "The agent can do it once, within ten minutes.",
    approval_allowed: "You have approved it",
    approval_of_another: "This link is for another account. Nothing has happened.",
};

/// German.
pub static GERMAN: Texts = Texts {
    lang: "de",
    sign_in: "Anmelden",
    sign_in_for: "Weiter zu",
    username: "Benutzername oder E-Mail-Adresse",
    password: "Passwort",
    wrong_credentials: "Benutzername oder Passwort ist falsch. Prüfen Sie beides, und versuchen \
        Sie es noch einmal.",
    too_many: "Es gab zu viele Versuche. Versuchen Sie es später noch einmal.",
    unavailable: "Dieser Dienst kann gerade nicht antworten. Versuchen Sie es in einer Minute \
        noch einmal.",
    second_factor: "Bestätigen Sie, dass Sie es sind",
    code: "Code",
    code_hint: "Die sechs Ziffern aus Ihrer Authenticator-App oder einer Ihrer \
        Wiederherstellungscodes.",
    wrong_code: "Dieser Code ist ungültig. Verwenden Sie den nächsten Code aus der App, oder \
        beginnen Sie von vorn.",
    go_on: "Weiter",
    start_again: "Von vorn beginnen",
    consent: "Zugriff erlauben",
    wants_access: "bittet um Zugriff",
    unverified: "Dieses Programm hat sich hier selbst registriert. Niemand hat seinen Namen \
        überprüft.",
    unverified_document: "Dieser Name wurde hier nicht überprüft. Gewählt hat ihn die Website",
    to_service: "Zugriff auf",
    as_account: "Als",
    answer_goes_to: "Die Antwort geht an",
    this_computer: "ein Programm auf diesem Computer",
    this_computer_warning: "Jedes Programm auf diesem Computer kann sich so nennen. Erlauben Sie \
        den Zugriff nur, wenn Sie das Programm gerade selbst gestartet haben.",
    may_act: "Das Programm darf diesen Dienst in Ihrem Namen benutzen.",
    it_may: "Berechtigungen",
    know_you: "Sie wiedererkennen und sehen, wann und wie Sie sich angemeldet haben",
    see_username: "Ihren Benutzernamen sehen",
    see_email: "Ihre E-Mail-Adresse sehen",
    until_revoked: "Der Zugriff endet nach einiger Zeit, bei Nichtbenutzung früher. Sie können \
        ihn jederzeit entziehen unter",
    apps: "Verbundene Apps",
    apps_of: "Diese Apps haben Zugriff im Namen von",
    no_apps: "Keine App hat Zugriff im Namen von",
    more_apps: "Weitere Apps",
    since: "Seit",
    last_used: "Zuletzt benutzt",
    revoke: "Zugriff entziehen",
    revoke_hint: "Eine App ohne Zugriff muss Sie erneut fragen. Es kann eine Weile dauern, bis \
        alle Dienste die Änderung bemerkt haben.",
    back: "Zurück",
    deny: "Ablehnen",
    allow: "Erlauben",
    another_account: "Ein anderes Konto benutzen",
    signed_in: "Sie sind angemeldet",
    sign_out: "Abmelden",
    signed_out: "Sie sind abgemeldet",
    signed_out_text: "Sie können dieses Fenster schließen.",
    error: "Das hat nicht geklappt",
    malformed_request: "Das Programm, das Sie hierher geschickt hat, hat eine fehlerhafte \
        Anfrage gestellt. Gehen Sie dorthin zurück und versuchen Sie es noch einmal. Wenn das \
        nicht hilft, wenden Sie sich an den Hersteller.",
    unknown_client: "Das Programm, das Sie hierher geschickt hat, ist hier nicht oder nicht mehr \
        bekannt. Gehen Sie dorthin zurück, und verbinden Sie es neu.",
    unusable_document: "Das Programm, das Sie hierher geschickt hat, beschreibt sich in einem \
        Dokument im Web, das dieser Dienst nicht abrufen oder nicht verwenden konnte. Versuchen \
        Sie es in einer Minute noch einmal. Wenn das nicht hilft, wenden Sie sich an den \
        Hersteller.",
    unknown_redirect_uri: "Das Programm, das Sie hierher geschickt hat, möchte die Antwort an \
        einer Adresse erhalten, die nicht dafür registriert ist. Dorthin wurde nichts gesendet. \
        Wenn Sie das Programm nicht kennen, schließen Sie dieses Fenster.",
    form_expired: "Diese Seite war zu lange offen, oder inzwischen hat sich jemand anders \
        angemeldet. Beginnen Sie dort noch einmal, wo Sie hergekommen sind.",
    already_decided: "Diese Anfrage wurde bereits beantwortet. Gehen Sie zurück zu dem Programm, das \
        Sie hierher geschickt hat.",
    denied: "Der Zugriff wurde nicht erlaubt",
    not_sent_back: "Das Programm, das Sie hierher geschickt hat, wurde hier nicht überprüft. \
        Deshalb leitet dieser Dienst Sie nicht automatisch dorthin zurück. Wenn Sie dem \
        Programm vertrauen, folgen Sie dem Link; andernfalls schließen Sie dieses Fenster.",
    back_to: "Zurück zu",
    sign_up: "Konto anlegen",
    has_account: "Ich habe schon ein Konto",
    new_username: "Benutzername",
    bad_username: "Verwenden Sie Buchstaben, Ziffern und Zeichen wie „.“ oder „-“, ohne \
        Leerzeichen.",
    username_taken: "Dieser Name ist vergeben. Wählen Sie einen anderen.",
    email: "E-Mail-Adresse (freiwillig)",
    email_hint: "Damit können Sie ein neues Passwort festlegen, falls Sie Ihres vergessen.",
    bad_email: "Das ist keine E-Mail-Adresse.",
    at_least: "Mindestens",
    characters: "Zeichen. Ein Satz ist leicht zu merken.",
    bad_password: "Wählen Sie ein längeres Passwort oder eines, das schwerer zu erraten ist: \
        kein gängiges und keines, das nur aus Ihrem Namen oder dem dieses Dienstes besteht.",
    forgot_password: "Passwort vergessen?",
    reset_password: "Passwort zurücksetzen",
    reset_hint: "Gibt es ein solches Konto und ist seine E-Mail-Adresse bestätigt, geht dorthin \
        eine Nachricht mit einem Code.",
    send_code: "Code senden",
    send_another_code: "Einen neuen Code senden",
    new_password: "Neues Passwort",
    choose_password: "Neues Passwort wählen",
    enter_code: "Geben Sie den Code aus der Nachricht ein, oder öffnen Sie den Link darin. Es \
        kann eine Minute dauern, bis sie ankommt.",
    ends_all: "Ein neues Passwort meldet Sie überall ab, und verbundene Apps verlieren ihren \
        Zugriff.",
    change_password: "Passwort ändern",
    wrong_mailed_code: "Dieser Code ist ungültig oder abgelaufen. Verwenden Sie den aus der \
        neuesten Nachricht.",
    password_changed: "Ihr Passwort ist geändert",
    password_changed_text: "Sie können sich jetzt damit anmelden.",
    verify_email: "E-Mail-Adresse bestätigen",
    verify: "Bestätigen",
    verify_later: "Später",
    verify_by_code: "Ein Code wird an die E-Mail-Adresse Ihres Kontos gesendet.",
    email_taken: "Diese Adresse gehört zu einem anderen Konto.",
    email_verified: "Ihre E-Mail-Adresse ist bestätigt",
    email_verified_text: "Falls Sie Ihr Passwort vergessen, können Sie es mit dieser Adresse \
        zurücksetzen.",
    agent_asks: "bittet Sie, sich anzumelden",
    agent_warning: "Niemand hat diesen Namen überprüft. Fahren Sie nur fort, wenn Sie gerade \
        selbst einen Agenten darum gebeten haben und er Ihnen denselben Code zeigt, und nie, wenn \
        Ihnen jemand den Link geschickt hat:",
    agent_knows_you: "Der Agent kann diesen Dienst dann fragen, wer Sie sind und was Sie dürfen. \
        Er erhält kein Passwort und kann nicht für Sie handeln.",
    agent_acts: "Der Agent kann hier dann alles tun, was Sie können, außer dem, was eine neue \
        Anmeldung erfordert. Er erhält kein Passwort.",
    agent_allowed: "Sie haben sich für den Agenten angemeldet",
    signed_in_for_agent: "Sie haben sich für diesen Agenten angemeldet. Niemand hat seinen Namen \
        überprüft.",
    back_to_agent: "Sie können dieses Fenster schließen und zum Agenten zurückkehren.",
    link_is_over: "Dieser Link wurde schon benutzt oder ist älter als zehn Minuten. Bitten Sie \
        den Agenten um einen neuen.",
    approval_asks: "bittet um Ihre Zustimmung",
    approval_warning: "Stimmen Sie nur zu, wenn Sie den Agenten gerade um genau das gebeten haben.",
    approval_operation: "Vorgang",
    approval_once: "Der Agent kann das einmal tun, innerhalb von zehn Minuten.",
    approval_allowed: "Sie haben zugestimmt",
    approval_of_another: "Dieser Link gehört zu einem anderen Konto. Es ist nichts geschehen.",
};
