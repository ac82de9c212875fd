/*
 * Producer.java BOOTSTRAP TOPIC PARTITIONS INTERVAL_MS [name=value ...]
 *
 * Writes a small record to every partition every INTERVAL_MS, acks=all, and says as lines of JSON on stdout: its settings; every
 * gap above 20 ms between two acknowledgements of a partition, when it ends; every error; and, ten times a second, how much is
 * acknowledged and when the partition that waits longest had its last acknowledgement. Times are milliseconds since 1970.
 */
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.utils.AppInfoParser;

public class Producer {
    private static final double GAP_MS = 20;
    private static final String[] TOLD = {
        "acks", "enable.idempotence", "linger.ms", "batch.size", "max.in.flight.requests.per.connection", "retries",
        "request.timeout.ms", "delivery.timeout.ms", "retry.backoff.ms", "retry.backoff.max.ms", "reconnect.backoff.ms",
        "reconnect.backoff.max.ms", "socket.connection.setup.timeout.ms", "metadata.max.age.ms",
    };

    private final String topic;
    private final double[] lastAckedAt;
    private long acknowledged = 0;

    private Producer(String topic, int partitions) {
        this.topic = topic;
        this.lastAckedAt = new double[partitions];
        Arrays.fill(lastAckedAt, now());
    }

    private static double now() {
        var instant = java.time.Instant.now();
        return instant.getEpochSecond() * 1e3 + instant.getNano() / 1e6;
    }

    private static void say(String format, Object... values) {
        synchronized (System.out) {
            System.out.println(String.format(java.util.Locale.ROOT, format, values));
            System.out.flush();
        }
    }

    private synchronized void acknowledged(int partition) {
        double at = now();
        double from = lastAckedAt[partition];
        lastAckedAt[partition] = at;
        acknowledged += 1;
        if (at - from > GAP_MS) say("{\"partition\":%d,\"from\":%.3f,\"to\":%.3f}", partition, from, at);
    }

    private synchronized void tell() {
        double oldest = Arrays.stream(lastAckedAt).min().getAsDouble();
        say("{\"at\":%.3f,\"acknowledged\":%d,\"oldest\":%.3f}", now(), acknowledged, oldest);
    }

    private void write(KafkaProducer<byte[], byte[]> producer, int partition, byte[] value) {
        producer.send(new ProducerRecord<>(topic, partition, null, value), (metadata, failure) -> {
            if (failure == null) acknowledged(partition);
            else say("{\"error\":\"%s\",\"partition\":%d}", failure.getClass().getSimpleName(), partition);
        });
    }

    public static void main(String[] args) throws InterruptedException {
        int partitions = Integer.parseInt(args[2]);
        double intervalMs = Double.parseDouble(args[3]);
        var properties = new Properties();
        properties.put("bootstrap.servers", args[0]);
        properties.put("acks", "all");
        for (int i = 4; i < args.length; i += 1) {
            String[] setting = args[i].split("=", 2);
            properties.put(setting[0], setting[1]);
        }
        properties.put("key.serializer", ByteArraySerializer.class.getName());
        properties.put("value.serializer", ByteArraySerializer.class.getName());
        Map<String, ?> values = new ProducerConfig(properties).values();
        var told = new TreeMap<String, Object>();
        for (String name : TOLD) told.put(name, values.get(name));
        say("{\"client\":\"Java %s\",\"settings\":\"%s\"}", AppInfoParser.getVersion(), told.toString());

        var writer = new Producer(args[1], partitions);
        byte[] value = "a small record, as of an event".getBytes(StandardCharsets.UTF_8);
        var producer = new KafkaProducer<byte[], byte[]>(properties);
        double nextAt = now();
        double tellAt = nextAt;
        while (true) {
            for (int partition = 0; partition < partitions; partition += 1) writer.write(producer, partition, value);
            if (now() >= tellAt) {
                writer.tell();
                tellAt = now() + 100;
            }
            nextAt = Math.max(nextAt + intervalMs, now() - intervalMs);
            Thread.sleep((long) Math.max(1, nextAt - now()));
        }
    }
}
