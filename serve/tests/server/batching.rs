//! Batches of several clients' requests, the queue's limits, time that runs out, clients that go, and the end of a server.

use crate::support::{ClientAnswer, TestServer, ask, near, patient, predicted, request, samples, small, two_by_two};
use gradc_serve::engine::EngineOptions;
use gradc_serve::server::ServerOptions;
use serde_json::json;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

fn body(x: &[f32]) -> String {
    json!({ "inputs": [{ "name": "x", "shape": [x.len() / 2, 2], "datatype": "FP32", "data": x }] }).to_string()
}

/// The elements of the output.
fn elements(answer: &ClientAnswer) -> Vec<f32> {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let json = answer.json();
    json["outputs"][0]["data"].as_array().unwrap().iter().map(|y| y.as_f64().unwrap() as f32).collect()
}

/// Sends a request and leaves it there.
fn sent(server: &TestServer, x: &[f32]) -> TcpStream {
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.write_all(&request("POST", "/v2/models/m/infer", &[], body(x).as_bytes())).unwrap();
    stream
}

fn received(mut stream: TcpStream) -> ClientAnswer {
    let mut bytes = vec![];
    stream.read_to_end(&mut bytes).unwrap();
    ClientAnswer::parse(&bytes).unwrap()
}

/// Waits until so many requests wait.
fn wait_for(server: &TestServer, waiting: usize) {
    while server.waiting() != waiting {
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn requests_of_several_clients_are_one_batch_and_each_gets_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.safetensors");
    let mut trainer = small(&path, 1);
    let server = TestServer::start(&[("m", &path)], ServerOptions { engine: patient(), ..ServerOptions::default() });
    let sizes = [3, 1, 2];
    let xs: Vec<Vec<f32>> = sizes.iter().enumerate().map(|(i, n)| samples(10 * i, *n)).collect();
    let streams: Vec<TcpStream> = xs.iter().map(|x| sent(&server, x)).collect();
    wait_for(&server, 3);
    // The batch is full with these.
    let last = samples(50, 2);
    let found = elements(&server.post("/v2/models/m/infer", &body(&last)));
    assert!(near(&found, &predicted(&mut trainer, &last)));
    for (stream, x) in streams.into_iter().zip(&xs) {
        assert!(near(&elements(&received(stream)), &predicted(&mut trainer, x)));
    }
}

#[test]
fn one_request_out_of_range_does_not_spoil_the_batch() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.safetensors");
    two_by_two(&path);
    let server = TestServer::start(&[("m", &path)], ServerOptions { engine: patient(), ..ServerOptions::default() });
    let body = |token: i32| {
        json!({ "inputs": [
            { "name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1, 2] },
            { "name": "token", "shape": [1], "datatype": "INT32", "data": [token] },
        ] })
        .to_string()
    };
    let address = server.address;
    let ask = move |token| ask(address, "POST", "/v2/models/m/infer", &[], body(token).as_bytes());
    let threads: Vec<_> = [3, 9, 1, -1, 0, 4, 5, 2].map(|token| std::thread::spawn(move || ask(token).status)).into();
    let statuses: Vec<u16> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    assert_eq!(statuses, [200, 400, 200, 400, 200, 200, 400, 200]);
}

#[test]
fn a_full_queue_says_when_to_come_again_and_clients_that_go_make_room() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.safetensors");
    small(&path, 1);
    let engine = EngineOptions { queue: 2, ..patient() };
    let mut server = TestServer::start(&[("m", &path)], ServerOptions { engine, ..ServerOptions::default() });
    let x = samples(0, 1);
    let (first, second) = (sent(&server, &x), sent(&server, &x));
    wait_for(&server, 2);
    let answer = server.post("/v2/models/m/infer", &body(&x));
    assert_eq!((answer.status, answer.header("Retry-After")), (429, Some("1")), "{}", answer.text());
    drop(first);
    wait_for(&server, 1);
    let third = sent(&server, &x);
    wait_for(&server, 2);
    // Who has a request under way when the server ends gets the answer, without the delay.
    server.begin_end();
    assert_eq!((received(second).status, received(third).status), (200, 200));
}

#[test]
fn time_runs_out() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.safetensors");
    small(&path, 1);
    let engine = EngineOptions { timeout: Duration::from_millis(30), ..patient() };
    let server = TestServer::start(&[("m", &path)], ServerOptions { engine, ..ServerOptions::default() });
    let answer = server.post("/v2/models/m/infer", &body(&samples(0, 1)));
    assert_eq!(answer.status, 504, "{}", answer.text());
    assert_eq!(server.waiting(), 0);
}
