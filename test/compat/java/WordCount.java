/*
 * WordCount.java BOOTSTRAP APPLICATION STATE_FOLDER FROM TO
 *
 * Kafka Streams with exactly_once_v2 and a group of the classic protocol: counts the words of FROM, and writes every change of a count
 * to TO, as text. Nothing is kept back in a cache, so a word that came n times has the counts 1 … n there, each once. Runs until it is
 * ended.
 */
import java.util.Arrays;
import java.util.Properties;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.Produced;

public class WordCount {
    public static void main(String[] args) {
        var text = Serdes.String();
        var builder = new StreamsBuilder();
        builder.stream(args[3], Consumed.with(text, text))
            .flatMapValues(line -> Arrays.asList(line.split(" ")))
            .groupBy((key, word) -> word, Grouped.with(text, text))
            .count()
            .toStream()
            .mapValues(count -> Long.toString(count))
            .to(args[4], Produced.with(text, text));

        var properties = new Properties();
        properties.put("bootstrap.servers", args[0]);
        properties.put("application.id", args[1]);
        properties.put("state.dir", args[2]);
        properties.put("processing.guarantee", "exactly_once_v2");
        properties.put("group.protocol", "classic");
        properties.put("num.stream.threads", "2");
        properties.put("commit.interval.ms", "100");
        properties.put("statestore.cache.max.bytes", "0");
        properties.put("consumer.auto.offset.reset", "earliest");
        properties.put("consumer.session.timeout.ms", "6000");

        var streams = new KafkaStreams(builder.build(), properties);
        streams.setStateListener((now, before) -> System.out.println(now));
        Runtime.getRuntime().addShutdownHook(new Thread(streams::close));
        streams.start();
    }
}
