//! What the other words of `sslmode` come to, and none at all.

use super::{
    authority::Flaw,
    front::{Front, Manner, Seen},
    harness::until,
    process::{Folder, run},
    server::{server, url},
};

/// One way, one mode, and what is to come of it.
struct Case {
    manner: Manner,
    mode: &'static str,
    /// What the program says where it does not go on.
    refusal: Option<&'static str>,
    seen: fn(Seen) -> u32,
}

#[tokio::test]
async fn each_mode_does_what_it_says() {
    let server = server().await;
    let name = server.database().await;
    let folder = Folder::new();
    let (encrypted, plain, hung_up): (fn(Seen) -> u32, fn(Seen) -> u32, fn(Seen) -> u32) =
        (|seen| seen.encrypted, |seen| seen.plain, |seen| seen.hung_up);
    let mut cases = Vec::new();
    // `prefer`, which is also meant where nothing is said: TLS where the server has it.
    for mode in ["sslmode=prefer", ""] {
        let case = |manner, refusal, seen| Case { manner, mode, refusal, seen };
        cases.push(case(server.passing(), None, encrypted));
        // Without TLS it goes on in plain words: whoever is on the way can have it so.
        cases.push(case(server.without_tls(), None, plain));
        cases.push(case(server.denying(), None, plain));
        // But a certificate that is shown is verified, or nothing is said.
        for flaw in Flaw::ALL {
            cases.push(case(server.ending(flaw), Some(flaw.word()), hung_up));
        }
    }
    let mode = "sslmode=disable";
    cases.push(Case { manner: server.without_tls(), mode, refusal: None, seen: plain });
    // The server, which lets in nobody without, says so.
    let refusal = Some("no encryption");
    cases.push(Case { manner: server.passing(), mode, refusal, seen: plain });

    for Case { manner, mode, refusal, seen } in cases {
        let front = Front::start(manner).await;
        let database = url("postgres", &front, &name, mode);
        let (ok, said) = run(folder.about(&database, &["reconcile"])).await;
        assert_eq!(ok, refusal.is_none(), "{mode}, {refusal:?}: {said}");
        assert!(said.contains(refusal.unwrap_or_default()), "{mode}, {refusal:?}: {said}");
        // The front may notice it a moment later than we do.
        until("somebody has come", async || front.seen() != Seen::default()).await;
        let all = front.seen();
        let sum = all.encrypted + all.plain + all.deceived + all.hung_up;
        assert!(seen(all) == sum, "{mode}, {refusal:?}: {all:?}");
    }
}

#[tokio::test]
async fn a_socket_of_this_machine_needs_no_tls() {
    let server = server().await;
    let name = server.database().await;
    let folder = Folder::new();
    let database = format!("{}&sslmode=require", server.socket_url(&name));
    let mut command = folder.about(&database, &["reconcile"]);
    // Nor any root.
    command.env("SSL_CERT_FILE", folder.path().join("none.pem"));
    let (ok, said) = run(command).await;
    assert!(ok, "{said}");
}

#[tokio::test]
async fn without_any_root_nothing_is_believed() {
    let server = server().await;
    let name = server.database().await;
    let folder = Folder::new();
    for mode in ["sslmode=require", "sslmode=prefer"] {
        let front = Front::start(server.passing()).await;
        let mut command = folder.about(&url("postgres", &front, &name, mode), &["reconcile"]);
        command.env("SSL_CERT_FILE", folder.path().join("none.pem"));
        let (ok, said) = run(command).await;
        assert!(!ok && said.contains("root certificates"), "{mode}: {said}");
        assert_eq!(front.seen(), Seen::default());
    }
}
