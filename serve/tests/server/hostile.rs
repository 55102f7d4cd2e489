//! Clients that mean no good, or are broken: each is answered or dropped, and the others are served meanwhile.

use crate::support::{ClientAnswer, TestServer, predicted, request, samples, small};
use damage::damage;
use gradc_serve::http::HttpOptions;
use gradc_serve::server::ServerOptions;
use serde_json::json;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Little room for a request.
fn narrow() -> ServerOptions {
    ServerOptions { http: HttpOptions { max_request: 1 << 16, ..HttpOptions::default() }, ..ServerOptions::default() }
}

/// Limits that a test can wait for, and that a client on a busy machine keeps.
fn strict() -> ServerOptions {
    let limit = Duration::from_secs(2);
    let http = HttpOptions { head_timeout: limit, body_timeout: limit, ..HttpOptions::default() };
    ServerOptions { http, ..ServerOptions::default() }
}

fn served(path: &Path, options: ServerOptions) -> (TestServer, String, String) {
    let mut trainer = small(path, 1);
    let server = TestServer::start(&[("m", path)], options);
    let x = samples(0, 1);
    let want = format!("{{\"predictions\":[{}]}}", serde_json::to_string(&predicted(&mut trainer, &x)).unwrap());
    (server, json!({ "instances": [x] }).to_string(), want)
}

/// Sends bytes; what comes back until the connection is closed. A client that says that no more will come is taken for one that goes away: what it asked for may be forgotten.
fn sent(server: &TestServer, bytes: &[u8], goes: bool) -> Vec<u8> {
    let mut stream = TcpStream::connect(server.address).unwrap();
    // A server that has heard enough closes while more is sent.
    let _ = stream.write_all(bytes);
    if goes {
        let _ = stream.shutdown(Shutdown::Write);
    }
    let mut answer = vec![];
    let _ = stream.read_to_end(&mut answer);
    answer
}

#[test]
fn what_is_no_request_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (server, body, want) = served(&dir.path().join("m.safetensors"), narrow());
    let status = |bytes: &[u8]| ClientAnswer::parse(&sent(&server, bytes, false)).map_or(0, |answer| answer.status);
    assert_eq!(status(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"), 400);
    assert_eq!(status(b"GET /v2 HTTP/1.1\r\nHost x\r\n\r\n"), 400);
    assert_eq!(status(b"POST /v2/models/m/infer HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n"), 400);
    assert_eq!(
        status(b"POST /v2/models/%ff/infer HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"),
        400
    );
    assert_eq!(status(b"GET /v2/models/m/infer HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"), 405);
    let long = [b"GET /".as_slice(), &vec![b'a'; 1 << 20], b" HTTP/1.1\r\n\r\n"].concat();
    assert!([0, 414, 431].contains(&status(&long)));
    let many: String = (0..5000).map(|i| format!("h{i}: v\r\n")).collect();
    assert!([0, 431].contains(&status(format!("GET /v2 HTTP/1.1\r\n{many}\r\n").as_bytes())));
    // Nothing of what is promised is taken.
    let promised = b"POST /v2/models/m/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000000\r\n\r\n";
    assert_eq!(status(promised), 413);
    // The connection may be closed before the client has read why.
    assert!([0, 413].contains(&status(&request("POST", "/v2/models/m/infer", &[], &vec![b' '; 1 << 17]))));
    let chunk = format!("{:x}\r\n{}\r\n", 1 << 16, " ".repeat(1 << 16));
    let head = "POST /v2/models/m/infer HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert!([0, 413].contains(&status(format!("{head}{chunk}{chunk}0\r\n\r\n").as_bytes())));
    let nested = "[".repeat(60_000);
    for text in [format!("{{\"inputs\": {nested}"), format!("{{\"id\": {nested}"), nested] {
        assert_eq!(status(&request("POST", "/v2/models/m/infer", &[], text.as_bytes())), 400);
        assert_eq!(status(&request("POST", "/v1/models/m:predict", &[], text.as_bytes())), 400);
    }
    for length in ["x", "-1", "99999999", "18446744073709551616"] {
        let headers = [("Inference-Header-Content-Length", length)];
        assert_eq!(status(&request("POST", "/v2/models/m/infer", &headers, b"{}")), 400);
    }
    assert_eq!(status(&request("POST", "/v2/models/m/infer", &[("Content-Encoding", "gzip")], b"{}")), 400);
    assert_eq!(server.post("/v1/models/m:predict", &body).text(), want);
}

#[test]
fn who_is_slow_is_dropped_and_who_goes_is_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let (server, body, want) = served(&dir.path().join("m.safetensors"), strict());
    let whole = request("POST", "/v1/models/m:predict", &[], body.as_bytes());
    let head = whole.len() - body.len();
    let mut slow: Vec<TcpStream> = (0..50).map(|_| TcpStream::connect(server.address).unwrap()).collect();
    for (number, stream) in slow.iter_mut().enumerate() {
        // Some stop within the head, some within the body, some say nothing at all.
        let at = [0, 1, head / 2, head, head + 1][number % 5];
        stream.write_all(&whole[..at]).unwrap();
    }
    for at in 0..20 {
        let aborted = TcpStream::connect(server.address).unwrap();
        (&aborted).write_all(&whole[..whole.len() - at % 3]).unwrap();
    }
    assert_eq!(server.post("/v1/models/m:predict", &body).text(), want);
    // A byte now and then doesn't help.
    for mut stream in slow {
        let mut answer = vec![];
        for byte in whole.iter().cycle() {
            if stream.write_all(&[*byte]).is_err() {
                break;
            }
            stream.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
            match stream.read_to_end(&mut answer) {
                Err(e) if matches!(e.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {}
                _ => break,
            }
        }
        let answer = ClientAnswer::parse(&answer);
        assert!(answer.as_ref().is_none_or(|answer| [400, 408, 504].contains(&answer.status)), "{answer:?}");
    }
    assert_eq!(server.post("/v1/models/m:predict", &body).text(), want);
    assert_eq!(server.waiting(), 0);
}

#[test]
fn requests_in_a_row_are_answered_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let (server, body, want) = served(&dir.path().join("m.safetensors"), ServerOptions::default());
    let length = body.len();
    let predict = format!("POST /v1/models/m:predict HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{body}");
    let live = "GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n";
    let last = request("GET", "/v2/models/none", &[], b"");
    let answer = sent(&server, &[predict.as_bytes(), live.as_bytes(), predict.as_bytes(), &last].concat(), false);
    let text = String::from_utf8(answer).unwrap();
    let at: Vec<usize> = text.match_indices("HTTP/1.1 ").map(|(at, _)| at).collect();
    assert_eq!(at.len(), 4, "{text}");
    assert!(text[at[0]..at[1]].ends_with(&want) && text[at[2]..at[3]].ends_with(&want), "{text}");
    assert!(text[at[1]..at[2]].ends_with("{\"live\":true}") && text[at[3]..].starts_with("HTTP/1.1 404"), "{text}");
}

/// `GRADC_SERVE_CONNECTIONS=10000` opens that many.
#[test]
fn connections_that_are_left_open_keep_nobody_out() {
    let count = std::env::var("GRADC_SERVE_CONNECTIONS").ok().and_then(|n| n.parse().ok()).unwrap_or(300);
    let dir = tempfile::tempdir().unwrap();
    // Fewer than come: the others wait until the first ones are dropped.
    let http = HttpOptions { max_connections: count / 2, ..strict().http };
    let (server, body, want) = served(&dir.path().join("m.safetensors"), ServerOptions { http, ..strict() });
    let open = |number: usize| {
        let mut stream = TcpStream::connect(server.address).unwrap();
        if number.is_multiple_of(2) {
            stream.write_all(b"GET /v2/health").unwrap();
        }
        stream
    };
    let left: Vec<TcpStream> = (0..count).map(open).collect();
    for _ in 0..20 {
        assert_eq!(server.post("/v1/models/m:predict", &body).text(), want);
    }
    assert_eq!(left.len(), count);
}

/// Panics of any thread of this process.
static PANICS: AtomicUsize = AtomicUsize::new(0);

/// `GRADC_SERVE_MUTATIONS=100000` makes a long run.
#[test]
fn damaged_requests_never_panic() {
    let count = std::env::var("GRADC_SERVE_MUTATIONS").ok().and_then(|n| n.parse().ok()).unwrap_or(3000u64);
    let dir = tempfile::tempdir().unwrap();
    let (server, body, want) = served(&dir.path().join("m.safetensors"), narrow());
    let told = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        PANICS.fetch_add(1, Ordering::Relaxed);
        told(panic);
    }));
    let binary = r#"{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","parameters":{"binary_data_size":8}}]}"#;
    let length = binary.len().to_string();
    let json = r#"{"id":"a","inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","data":[[0.5,-1e3]]}],"outputs":[{"name":"output","parameters":{"binary_data":true}}]}"#;
    let seeds = [
        request("POST", "/v1/models/m:predict", &[], body.as_bytes()),
        request("POST", "/v1/models/m:predict", &[], br#"{"inputs":{"x":[[1,2],[3,4.5]]}}"#),
        request("POST", "/v2/models/m/infer", &[], json.as_bytes()),
        request(
            "POST",
            "/v2/models/m/versions/1/infer",
            &[("Inference-Header-Content-Length", &length)],
            &[binary.as_bytes(), &[0; 8]].concat(),
        ),
        request("POST", "/v2/repository/index", &[], b"{\"ready\":true}"),
    ];
    let (mut answered, mut fine) = (0, 0);
    for i in 0..count {
        let mut random = ir::SplitMix64::new(i);
        let mut bytes = seeds[i as usize % seeds.len()].clone();
        // Half of them keep their head, so that they reach what is behind it.
        let head = bytes.windows(4).position(|window| window == b"\r\n\r\n").map_or(0, |at| at + 4);
        damage(&mut bytes, if i % 2 == 0 { head } else { 0 }, &mut random);
        if let Some(answer) = ClientAnswer::parse(&sent(&server, &bytes, true)) {
            answered += 1;
            fine += u64::from(answer.status == 200);
            assert!(answer.status != 500, "request {i}: {:?}", String::from_utf8_lossy(&answer.body));
        }
    }
    println!("{answered} of {count} were answered, {fine} with what they asked for");
    assert!(answered > count / 2 && fine > count / 100, "{answered} {fine}");
    assert_eq!(PANICS.load(Ordering::Relaxed), 0);
    assert_eq!(server.post("/v1/models/m:predict", &body).text(), want);
}
