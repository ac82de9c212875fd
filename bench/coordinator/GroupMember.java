/*
 * GroupMember.java first BOOTSTRAP TOPIC PROTOCOL TRIALS
 *     A fresh group of one member each time: says as a line of JSON how long it took from subscribe to the first record.
 * GroupMember.java commit BOOTSTRAP TOPIC PROTOCOL GROUP
 *     A member that commits an offset every 10 ms until it is killed, and says every gap above 50 ms between two commits when it ends,
 *     and, ten times a second, when the last one was. PROTOCOL is classic or consumer. Times are milliseconds, points since 1970.
 */
import java.time.Duration;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Properties;
import java.util.UUID;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

public class GroupMember {
    private static final double GAP_MS = 50;
    /** The newer consumer takes some of its steps only when a poll has ended, so a long one would be most of what is measured. */
    private static final Duration POLL = Duration.ofMillis(5);
    private static final Duration COMMIT = Duration.ofSeconds(60);

    private static double now() {
        var instant = java.time.Instant.now();
        return instant.getEpochSecond() * 1e3 + instant.getNano() / 1e6;
    }

    private static void say(String format, Object... values) {
        System.out.println(String.format(Locale.ROOT, format, values));
        System.out.flush();
    }

    private static KafkaConsumer<byte[], byte[]> open(String bootstrap, String protocol, String group) {
        var properties = new Properties();
        properties.put("bootstrap.servers", bootstrap);
        properties.put("group.id", group);
        properties.put("group.protocol", protocol);
        properties.put("auto.offset.reset", "earliest");
        properties.put("enable.auto.commit", "false");
        properties.put("key.deserializer", ByteArrayDeserializer.class.getName());
        properties.put("value.deserializer", ByteArrayDeserializer.class.getName());
        return new KafkaConsumer<>(properties);
    }

    private static void first(String bootstrap, String topic, String protocol, int trials) {
        for (int trial = 0; trial < trials; trial += 1) {
            var consumer = open(bootstrap, protocol, "first-" + UUID.randomUUID());
            double subscribedAt = now();
            consumer.subscribe(List.of(topic));
            while (consumer.poll(POLL).isEmpty()) { }
            say("{\"first\":%.3f}", now() - subscribedAt);
            consumer.close();
        }
    }

    private static void commit(String bootstrap, String topic, String protocol, String group) throws InterruptedException {
        var consumer = open(bootstrap, protocol, group);
        consumer.subscribe(List.of(topic));
        double lastAt = now();
        double tellAt = lastAt;
        for (long offset = 0; ; offset += 1) {
            consumer.poll(Duration.ofMillis(1));
            for (var partition : consumer.assignment()) {
                try {
                    consumer.commitSync(Map.of(partition, new OffsetAndMetadata(offset)), COMMIT);
                    double at = now();
                    if (at - lastAt > GAP_MS) say("{\"from\":%.3f,\"to\":%.3f}", lastAt, at);
                    lastAt = at;
                } catch (KafkaException failure) {
                    say("{\"error\":\"%s\"}", failure.getClass().getSimpleName());
                }
                break;
            }
            if (now() >= tellAt) {
                say("{\"at\":%.3f,\"last\":%.3f}", now(), lastAt);
                tellAt = now() + 100;
            }
            Thread.sleep(10);
        }
    }

    public static void main(String[] args) throws InterruptedException {
        if (args[0].equals("first")) first(args[1], args[2], args[3], Integer.parseInt(args[4]));
        else commit(args[1], args[2], args[3], args[4]);
    }
}
