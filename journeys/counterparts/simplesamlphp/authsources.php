<?php
$config = [
    'example' => [
        'exampleauth:UserPass',
        'camille:any' => [
            'uid' => ['camille'],
            'urn:oid:2.5.4.42' => ['Camille Jeanne'],
            'urn:oid:2.5.4.4' => ['Dubois'],
            'urn:oid:0.9.2342.19200300.100.1.3' => ['camille@example.org'],
            'birthdate' => ['1990-05-17'],
            'role' => ['teacher'],
        ],
    ],
];
