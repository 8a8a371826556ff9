// Serves a digest of a file, read and computed by libuv's threads.
'use strict';
const crypto = require('crypto');
const fs = require('fs');
const http = require('http');
const {Worker} = require('worker_threads');

const [, , port, file] = process.argv;

http.createServer((request, response) => {
  fs.readFile(file, (error, content) => {
    if (error) throw error;
    crypto.pbkdf2(content, 'salt', 1, 32, 'sha256', (failure, digest) => {
      if (failure) throw failure;
      response.end(digest.toString('hex'));
    });
  });
}).listen(Number(port), '127.0.0.1', () => {
  // What applications do besides: threads, children, names, interfaces, watched files.
  new Worker('require("os").networkInterfaces()', {eval: true}).on('error', fail);
  require('child_process').exec('true', (error) => error && fail(error));
  require('dns').lookup('localhost', (error) => error && fail(error));
  fs.watch(file).on('error', fail);
});

process.on('SIGTERM', () => process.exit(0));

function fail(error) {
  console.error(error);
  process.exit(1);
}
