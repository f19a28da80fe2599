/** What a person notices, and the command that shows why: for `--help`, the man page and README.md. */

export interface Symptom {
  readonly symptom: string;
  /** To be copied as it is. */
  readonly command: string;
}

export const SYMPTOMS: readonly Symptom[] = [
  { symptom: 'requests are slow', command: 'sudo netwatch requests' },
  { symptom: 'connecting takes long', command: 'sudo netwatch tcpconnlat' },
  { symptom: 'the network is slow', command: 'sudo netwatch tcprtt -i 5' },
  { symptom: 'an application is slow to read', command: 'sudo netwatch tcppktlat 1000' },
  { symptom: 'packets are lost on the way', command: 'sudo netwatch tcpretrans -l' },
  { symptom: 'this host drops packets', command: 'sudo netwatch tcpdrop' },
  { symptom: 'connections are refused or reset', command: 'sudo netwatch insight -t -e RESET' },
  { symptom: 'who talks to whom, and how much', command: 'sudo netwatch flows' },
  { symptom: 'too many connections are opened', command: 'sudo netwatch tcpconnect -c' },
  { symptom: "a server's accept queue is full", command: 'sudo netwatch -qe --duration 30' },
  { symptom: 'sockets pile up in CLOSE_WAIT', command: 'sudo netwatch -q --duration 10' },
  { symptom: 'netwatch shows nothing', command: 'sudo netwatch doctor' },
];

const WIDTH = Math.max(...SYMPTOMS.map(({ symptom }) => symptom.length));

/** The rows as indented lines, in two columns. */
export function symptomTable(): string {
  return SYMPTOMS.map(({ symptom, command }) => `  ${symptom.padEnd(WIDTH)}  ${command}\n`).join(
    '',
  );
}
